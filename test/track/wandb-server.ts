/** W&B's server as far as a run needs it: it keeps lines by their offsets as the real one does, and fails when it is told to. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Run {
  config: Record<string, { value: unknown }>
  displayName: string | null
  /** lines by file */
  files: Map<string, string[]>
  complete: boolean
  exitcode: number | null
}

export interface FakeWandb {
  url: string
  runs: Map<string, Run>
  /** of each request that was answered well */
  requests: { path: string; body: Record<string, unknown>; authorization: string }[]
  /** how the next requests fail: a status, never an answer, or a cut connection */
  faults: (number | 'hang' | 'cut')[]
  /** files that were uploaded, by their names, and with whose key */
  uploads: Map<string, { content: Buffer; authorization: string | undefined }>
  /** where files go; null: to itself */
  uploadsTo: string | null
  /** how its storage fails for good */
  storage: number | null
  /** fails for good */
  down: number | 'hang' | 'cut' | null
  close(): Promise<void>
}

export async function fakeWandb(): Promise<FakeWandb> {
  const fake: FakeWandb = {
    url: '',
    runs: new Map(),
    requests: [],
    uploads: new Map(),
    uploadsTo: null,
    storage: null,
    faults: [],
    down: null,
    close: () => closed(server),
  }
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const fault = fake.down ?? fake.faults.shift()
      if (fault === 'hang') return
      if (fault === 'cut') return void request.socket.destroy()
      if (fault !== undefined) return void response.writeHead(fault).end(`status ${fault}`)
      const path = request.url!
      const content = Buffer.concat(parts)
      if (!/^\/graphql$|\/file_stream$/.test(path)) {
        if (fake.storage !== null) return void response.writeHead(fake.storage).end('no')
        fake.uploads.set(decodeURIComponent(path.replace('/upload/', '')), { content, authorization: request.headers.authorization })
        return void response.end()
      }
      const body = JSON.parse(content.toString())
      fake.requests.push({ path, body, authorization: request.headers.authorization ?? '' })
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(path === '/graphql' ? graphql(fake, body) : stream(fake, path, body)))
    })
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return fake
}

const closed = (server: Server) =>
  new Promise<void>((done) => {
    server.closeAllConnections()
    server.close(() => done())
  })

const newRun = (): Run => ({ config: {}, displayName: null, files: new Map(), complete: false, exitcode: null })

function graphql(
  { runs, url, uploadsTo }: FakeWandb,
  { query, variables }: { query: string; variables: Record<string, string | null> },
): unknown {
  if (/createRunFiles/i.test(query)) {
    const files = variables.files as unknown as string[]
    return {
      data: {
        createRunFiles: {
          runID: 'r',
          uploadHeaders: [],
          files: files.map((name) => ({ name, uploadUrl: `${uploadsTo ?? url}/upload/${name}` })),
        },
      },
    }
  }
  if (!/upsertBucket/i.test(query)) return { data: {} }
  const id = variables.name!
  const inserted = !runs.has(id)
  const run = runs.get(id) ?? newRun()
  runs.set(id, run)
  run.complete = false
  Object.assign(run.config, JSON.parse(variables.config ?? '{}'))
  run.displayName ??= variables.displayName ?? null
  const lines = (file: string) => run.files.get(file)?.length ?? 0
  const bucket = {
    id: `id-${id}`,
    name: id,
    displayName: run.displayName ?? 'lucky-falcon-1',
    project: { id: 'p', name: variables.project, entity: { id: 'e', name: variables.entity ?? 'somebody' } },
    historyLineCount: lines('wandb-history.jsonl'),
    eventsLineCount: lines('wandb-events.jsonl'),
  }
  return { data: { upsertBucket: { bucket, inserted } } }
}

function stream(
  { runs }: FakeWandb,
  path: string,
  body: { files?: Record<string, { offset: number; content: string[] }> } & Partial<Run>,
): unknown {
  const run = runs.get(decodeURIComponent(path.split('/')[4]!))!
  for (const [name, { offset, content }] of Object.entries(body.files ?? {})) {
    const lines = run.files.get(name) ?? []
    if (offset > lines.length) throw new Error(`${name}: lines ${lines.length} to ${offset} are missing`)
    lines.splice(offset, content.length, ...content)
    run.files.set(name, lines)
  }
  if (body.complete) Object.assign(run, { complete: true, exitcode: body.exitcode })
  return {}
}
