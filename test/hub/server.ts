/** A small Hub on 127.0.0.1: descriptions, trees and files with ranges, and on request every failure the real one shows. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface FakeRepo {
  files: Record<string, string | Buffer>
  /** names kept as LFS files: their hash is a sha256 */
  lfs?: string[]
  commit?: string
  dataset?: boolean
}

export interface FakeHub {
  url: string
  /** what was asked for, in order: 'GET /api/…' with ' bytes=…' for a range */
  requests: string[]
  /** answers a request instead of the Hub by returning true */
  intercept?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** bytes of file content after which a connection is cut, once for each entry */
  cuts: number[]
  close(): Promise<void>
}

export const commit = 'c0ffee'.padEnd(40, '0')

export const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')
export const gitHash = (content: string | Buffer) =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(content)}\0`)
    .update(content)
    .digest('hex')

export async function startHub(repos: Record<string, FakeRepo>): Promise<FakeHub> {
  const hub: FakeHub = { url: '', requests: [], cuts: [], close: async () => {} }
  const server = createServer((request, response) => {
    const range = request.headers.range
    hub.requests.push(`${request.method} ${request.url}${range ? ` ${range}` : ''}`)
    if (hub.intercept?.(request, response)) return
    answer(request, response)
  })

  function answer(request: IncomingMessage, response: ServerResponse): unknown {
    const path = decodeURIComponent(new URL(request.url!, 'http://x').pathname)
    for (const [name, repo] of Object.entries(repos)) {
      const kind = repo.dataset ? 'datasets' : 'models'
      const api = `/api/${kind}/${name}`
      const files = `/${repo.dataset ? 'datasets/' : ''}${name}/resolve/`
      const sha = repo.commit ?? commit
      if (path.startsWith(`${api}/revision/`)) {
        const revision = path.slice(`${api}/revision/`.length)
        if (revision !== 'main' && revision !== sha) return problem(response, 404, 'RevisionNotFound')
        return json(response, { _id: '1', id: name, sha, siblings: Object.keys(repo.files).map((rfilename) => ({ rfilename })) })
      }
      if (path.startsWith(`${api}/tree/`)) {
        return json(
          response,
          Object.entries(repo.files).map(([file, content]) => ({
            type: 'file',
            path: file,
            size: Buffer.byteLength(content),
            oid: gitHash(content),
            ...(repo.lfs?.includes(file) && { lfs: { oid: sha256(content), size: Buffer.byteLength(content), pointerSize: 100 } }),
          })),
        )
      }
      if (path.startsWith(files)) {
        const file = path.slice(files.length).replace(/^[^/]+\//, '')
        const content = repo.files[file]
        if (content === undefined) return problem(response, 404, 'EntryNotFound')
        return send(request, response, Buffer.from(content), repo.lfs?.includes(file) ? sha256(content) : gitHash(content), sha)
      }
    }
    return problem(response, 404, 'RepoNotFound')
  }

  function send(request: IncomingMessage, response: ServerResponse, content: Buffer, etag: string, sha: string): unknown {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []
    const start = Number(from ?? 0)
    const end = to ? Number(to) + 1 : content.length
    const part = content.subarray(start, end)
    response.writeHead(from === undefined ? 200 : 206, {
      etag: `"${etag}"`,
      'x-linked-etag': `"${etag}"`,
      'x-repo-commit': sha,
      'x-linked-size': String(content.length),
      'content-length': part.length,
      'accept-ranges': 'bytes',
      ...(from !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }),
    })
    if (request.method === 'HEAD') return response.end()
    // small files come whole
    const cut = part.length > 1000 ? hub.cuts.shift() : undefined
    if (cut === undefined) return response.end(part)
    return response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20))
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  hub.close = async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  return hub
}

export function problem(response: ServerResponse, status: number, code?: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...(code && { 'x-error-code': code }), ...headers })
  response.end('no')
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}
