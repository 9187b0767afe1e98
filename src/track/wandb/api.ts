/** Weights & Biases over HTTP: a run is made with GraphQL, its lines are sent to files of it. */
import { within } from '../../hub/within.ts'
import type { RunInfo, Values } from './records.ts'

export interface Server {
  baseUrl: string
  apiKey: string
  /** seconds that an answer may take */
  timeout: number
  /** ends what is under way */
  signal: AbortSignal
}

/** Where a run lies, and how many lines of it are there. */
export interface Bucket {
  entity: string
  project: string
  name: string
  history: number
  events: number
}

/** @param final trying again doesn't help */
export class WandbError extends Error {
  readonly final: boolean
  /** seconds that the server asks to wait */
  readonly wait: number | null
  constructor(message: string, final: boolean, wait: number | null = null) {
    super(message)
    this.final = final
    this.wait = wait
  }
}

const VARIABLES = {
  name: ['String', 'name'],
  project: ['String', 'modelName'],
  entity: ['String', 'entityName'],
  groupName: ['String', 'groupName'],
  displayName: ['String', 'displayName'],
  notes: ['String', 'notes'],
  config: ['JSONString', 'config'],
  host: ['String', 'host'],
  jobType: ['String', 'jobType'],
  tags: ['[String!]', 'tags'],
} as const

const UPSERT = `mutation UpsertBucket(${Object.entries(VARIABLES).map(([name, [type]]) => `$${name}: ${type}`)}) {
  upsertBucket(input: {${Object.entries(VARIABLES).map(([name, [, key]]) => `${key}: $${name}`)}}) {
    bucket { id name displayName project { id name entity { id name } } historyLineCount eventsLineCount }
    inserted
  }
}`

/** Makes the run, or finds the one of this id. @throws WandbError */
export async function upsertRun(server: Server, run: RunInfo, config: Values): Promise<Bucket> {
  const variables: Record<keyof typeof VARIABLES, unknown> = {
    name: run.id,
    project: run.project,
    entity: run.entity,
    groupName: run.group,
    displayName: run.name,
    notes: run.notes,
    config: JSON.stringify(Object.fromEntries(Object.entries(config).map(([key, value]) => [key, { value }]))),
    host: run.host,
    jobType: run.jobType,
    tags: run.tags.length > 0 ? run.tags : null,
  }
  const answer = (await post(server, '/graphql', { query: UPSERT, variables, operationName: 'UpsertBucket' })) as {
    data?: { upsertBucket?: { bucket?: RawBucket } } | null
    errors?: { message?: string }[]
  } | null
  const bucket = answer?.data?.upsertBucket?.bucket
  if (!bucket)
    throw new WandbError(answer?.errors?.map(({ message }) => message).join('; ') || 'it made no run', answer?.errors !== undefined)
  return {
    entity: bucket.project?.entity?.name ?? run.entity ?? '',
    project: bucket.project?.name ?? run.project,
    name: bucket.displayName ?? run.id,
    history: bucket.historyLineCount ?? 0,
    events: bucket.eventsLineCount ?? 0,
  }
}

interface RawBucket {
  displayName?: string
  project?: { name?: string; entity?: { name?: string } }
  historyLineCount?: number
  eventsLineCount?: number
}

/** A part of a run's files, by the line that it begins at; nothing: it is alive. */
export interface Chunk {
  files?: Readonly<Record<string, { offset: number; content: readonly string[] }>>
  complete?: boolean
  exitcode?: number
}

/** @throws WandbError */
export async function sendChunk(server: Server, { entity, project }: Bucket, id: string, chunk: Chunk): Promise<void> {
  await post(server, `/files/${[entity, project, id].map(encodeURIComponent).join('/')}/file_stream`, chunk)
}

const CREATE_FILES = `mutation CreateRunFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: $entity, projectName: $project, runName: $run, files: $files}) {
    runID uploadHeaders files { name uploadUrl }
  }
}`

/**
 * A file of a run, to where the server says.
 * @returns why it is not taken and never will be; null: it is there
 * @throws WandbError
 */
export async function sendFile(
  server: Server,
  { entity, project }: Bucket,
  run: string,
  { path, content }: { path: string; content: Uint8Array<ArrayBuffer> },
): Promise<string | null> {
  const variables = { entity, project, run, files: [path] }
  const answer = (await post(server, '/graphql', { query: CREATE_FILES, variables, operationName: 'CreateRunFiles' })) as {
    data?: { createRunFiles?: { uploadHeaders?: string[]; files?: { uploadUrl?: string }[] } | null } | null
    errors?: { message?: string }[]
  } | null
  const { uploadHeaders = [], files } = answer?.data?.createRunFiles ?? {}
  const to = files?.[0]?.uploadUrl
  if (!to) return `has no place for it (${answer?.errors?.map(({ message }) => message).join('; ') || 'no reason is given'})`
  const url = new URL(to, server.baseUrl)
  const headers = Object.fromEntries(
    uploadHeaders.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  )
  // the key is for the server alone, never for a storage elsewhere
  if (url.origin === new URL(server.baseUrl).origin) headers.authorization = authorization(server)
  try {
    await request(server, url, { method: 'PUT', headers, body: content })
    return null
  } catch (error) {
    if (error instanceof WandbError && error.final) return error.message.replace(/^it /, '')
    throw error
  }
}

const authorization = ({ apiKey }: Server) => `Basic ${Buffer.from(`api:${apiKey}`).toString('base64')}`

/** answers that another try may change */
const PASSING = new Set([408, 425, 429])

async function post(server: Server, path: string, body: unknown): Promise<unknown> {
  const headers = { authorization: authorization(server), 'content-type': 'application/json', 'user-agent': 'saqr' }
  const text = await request(server, `${server.baseUrl}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    throw new WandbError(`its answer is no JSON: ${text.slice(0, 100)}`, false)
  }
}

async function request({ timeout, signal }: Server, url: string | URL, what: RequestInit): Promise<string> {
  let response: Response
  let text: string
  try {
    response = await fetch(url, { ...what, signal: within(timeout * 1000, signal) })
    text = await response.text()
  } catch (cause) {
    const error = cause as Error & { cause?: { code?: string; message?: string } }
    const why =
      error.name === 'TimeoutError' ? `no answer within ${timeout} s` : (error.cause?.code ?? error.cause?.message ?? error.message)
    throw new WandbError(why, false)
  }
  if (!response.ok) {
    const { status } = response
    const said = text.trim().slice(0, 200)
    const wait = Number(response.headers.get('retry-after') ?? Number.NaN)
    throw new WandbError(
      status === 401 || status === 403 ? `the key is refused (${status})` : `it answers ${status}${said ? `: ${said}` : ''}`,
      status < 500 && !PASSING.has(status),
      wait >= 0 ? wait : null,
    )
  }
  return text
}
