/** A small Hub on 127.0.0.1 that takes uploads: repositories made, files hashed, LFS in one piece or in parts, commits; and every failure on request. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gitHash, sha256 } from './server.ts'

export interface PushHub {
  url: string
  token: string
  /** owner/name -> branch -> path -> content */
  repos: Map<
    string,
    { visibility: string | undefined; branches: Map<string, Map<string, Buffer>>; commits: { title: string; paths: string[] }[] }
  >
  /** large files by sha256 */
  lfs: Map<string, Buffer>
  requests: string[]
  /** answers a request instead of the Hub by returning true */
  intercept?: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** where large files go, where that is another address of this server */
  storage?: string
  /** bytes of a large file's body after which the connection is cut, once for each entry */
  cuts: number[]
  /** large files come in parts of so many bytes */
  chunk?: number
  close(): Promise<void>
}

const LARGE = 10_000

export async function startPushHub(): Promise<PushHub> {
  const hub: PushHub = { url: '', token: 'hf_write', repos: new Map(), lfs: new Map(), requests: [], cuts: [], close: async () => {} }
  const parts = new Map<string, Buffer[]>()
  const server = createServer((request, response) => {
    hub.requests.push(`${request.method} ${request.url}`)
    if (hub.intercept?.(request, response)) return
    answer(request, response).catch((error: unknown) => response.destroy(error as Error))
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const path = decodeURIComponent(new URL(request.url!, 'http://x').pathname)
    const storage = /^\/storage\/(\w+)(?:\/(\d+))?$/.exec(path)
    if (storage) return await store(request, response, storage[1]!, storage[2])
    const body = (await read(request)).toString()
    if (request.headers.authorization !== `Bearer ${hub.token}`) return json(response, { error: 'Invalid credentials' }, 401)
    if (path === '/api/whoami-v2') return json(response, { name: 'falconer', type: 'user', auth: { type: 'access_token' } })
    if (path === '/api/repos/create') {
      const { name, organization, visibility, type } = JSON.parse(body)
      const id = `${organization}/${name}`
      if (type !== 'model') return json(response, { error: 'model it is' }, 400)
      if (hub.repos.has(id)) return json(response, { error: 'You already created this model repo' }, 409)
      hub.repos.set(id, { visibility, branches: new Map([['main', new Map()]]), commits: [] })
      return json(response, { url: `${hub.url}/${id}`, id })
    }
    const batch = /^\/([\w-]+\/[\w-]+)\.git\/info\/lfs\/objects\/batch$/.exec(path)
    if (batch) {
      const { objects } = JSON.parse(body) as { objects: { oid: string; size: number }[] }
      return json(response, {
        transfer: hub.chunk ? 'multipart' : 'basic',
        objects: objects.map(({ oid, size }) => ({ oid, size, ...(hub.lfs.has(oid) ? {} : { actions: { upload: uploadOf(oid, size) } }) })),
      })
    }
    const [, id = '', action = '', rest = ''] = /^\/api\/models\/([\w-]+\/[\w-]+)\/(\w+)\/(.*)$/.exec(path) ?? []
    const repo = hub.repos.get(id)
    if (!repo) return json(response, { error: 'Repository not found' }, 404)
    const [branch = ''] = rest.split('/')
    const files = repo.branches.get(branch) ?? repo.branches.get([...repo.branches.keys()].find((name) => shaOf(name) === branch) ?? '')
    if (action === 'branch') {
      if (!repo.branches.has(branch)) repo.branches.set(branch, new Map(repo.branches.get('main')))
      return json(response, {})
    }
    if (!files) return json(response, { error: 'no such revision' }, 404)
    if (action === 'revision') return json(response, { _id: '1', id, sha: shaOf(branch) })
    if (action === 'tree')
      return json(
        response,
        [...files].map(([path, content]) => ({
          ...{ type: 'file', path, size: content.length, oid: gitHash(content) },
          ...(content.length >= LARGE && { lfs: { oid: sha256(content), size: content.length, pointerSize: 100 } }),
        })),
      )
    if (action === 'preupload') {
      const asked = JSON.parse(body).files as { path: string; size: number }[]
      return json(response, { files: asked.map(({ path, size }) => ({ path, uploadMode: size >= LARGE ? 'lfs' : 'regular' })) })
    }
    if (action === 'commit') {
      const lines = body.split('\n').map((line) => JSON.parse(line))
      const paths: string[] = []
      for (const { key, value } of lines.slice(1)) {
        if (key === 'lfsFile' && !hub.lfs.has(value.oid)) return json(response, { error: `no object ${value.oid}` }, 400)
        files.set(value.path, key === 'lfsFile' ? hub.lfs.get(value.oid)! : Buffer.from(value.content, value.encoding))
        paths.push(value.path)
      }
      repo.commits.push({ title: lines[0].value.summary, paths })
      return json(response, { commitOid: 'abcdef'.padEnd(40, String(repo.commits.length)), commitUrl: '', hookOutput: '', success: true })
    }
    return json(response, { error: path }, 404)
  }

  const shaOf = (branch: string) => Buffer.from(branch).toString('hex').padEnd(40, '0').slice(0, 40)

  function uploadOf(oid: string, size: number) {
    if (!hub.chunk) return { href: `${hub.storage ?? hub.url}/storage/${oid}` }
    const count = Math.ceil(size / hub.chunk)
    const urls = Array.from({ length: count }, (_, i) => [String(i + 1).padStart(5, '0'), `${hub.url}/storage/${oid}/${i + 1}`])
    return { href: `${hub.url}/storage/${oid}`, header: { chunk_size: String(hub.chunk), ...Object.fromEntries(urls) } }
  }

  async function store(request: IncomingMessage, response: ServerResponse, oid: string, part: string | undefined): Promise<unknown> {
    const cut = request.method === 'PUT' ? hub.cuts.shift() : undefined
    if (cut !== undefined) {
      let seen = 0
      for await (const chunk of request) if ((seen += (chunk as Buffer).length) > cut) break
      return request.socket.destroy()
    }
    const body = await read(request)
    if (request.method === 'POST') {
      const whole = Buffer.concat(parts.get(oid) ?? [])
      if (sha256(whole) !== oid) return json(response, { error: 'parts make another file' }, 400)
      hub.lfs.set(oid, whole)
      return json(response, {})
    }
    if (part !== undefined) {
      const list = parts.get(oid) ?? []
      list[Number(part) - 1] = body
      parts.set(oid, list)
    } else if (sha256(body) !== oid) return json(response, { error: 'another file' }, 400)
    else hub.lfs.set(oid, body)
    response.writeHead(200, { etag: `"${part ?? oid}"` })
    return response.end()
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  hub.close = async () => {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
  return hub
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export function json(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}): boolean {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
  return true
}
