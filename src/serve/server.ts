/** OpenAI's API over node:http on this machine's loopback: what is asked at which path, and how it begins and ends. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { option, SaqrError, say } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import type { JobEngine } from '../jobs/engine.ts'
import { ApiError, apiErrorOf } from './api-error.ts'
import { readBody } from './body.ts'
import { chatCompletions } from './chat-completions.ts'
import { completions } from './completions.ts'
import type { Context } from './context.ts'
import { FineTuned, LOADED } from './fine-tuned.ts'
import { Guard } from './guard.ts'
import { NO_PART, notServed, routeJobs } from './jobs-routes.ts'
import { allow } from './methods.ts'
import { asServed, type Served, ServedModels } from './models.ts'
import { Reply } from './reply.ts'
import { Scheduler } from './scheduler.ts'

export interface ServeSettings {
  key: string
  /** of pages beside this machine's own that may ask */
  origins: readonly string[]
  maxNewTokens: number
  /** is told of mistakes of ours */
  onFault: (error: unknown) => void
  /** fine-tuning jobs are taken; absent: they are refused */
  jobs?: ServedJobs
}

export interface ServedJobs {
  engine: JobEngine
  /** Hub ids or paths of what can be trained over here */
  firsts: readonly string[]
  /** bytes on the device that answers leave to jobs */
  reserved: number
  /** loads an adapter's folder over the base that is served */
  open(name: string, folder: string): Served
}

type Post = (context: Context, body: JsonObject, reply: Reply) => Promise<void>
const POSTS: Readonly<Record<string, Post>> = { '/v1/chat/completions': chatCompletions, '/v1/completions': completions }

/** OpenAI's, and not served: path -> why */
const REFUSED: readonly [path: RegExp, why: string][] = [
  [/^\/v1\/embeddings$/, 'embeddings are not made here: a model that generates text gives none that mean anything'],
  [/^\/v1\/responses(\/|$)/, 'the Responses API is not served: use /v1/chat/completions'],
  [/^\/v1\/(audio|images|moderations|assistants|threads|vector_stores|batches|realtime)(\/|$)/, 'saqr serve answers with text alone'],
]

const NO_JOBS = 'fine-tuning jobs are taken where the server was started with a folder for them: --jobs_dir FOLDER'

/** milliseconds: whoever sends a request more slowly is cut off; a file may take longer */
const SLOWEST = 60_000
const SLOWEST_FILE = 600_000
const UNREAD = 2_000

export class ApiServer {
  readonly #context: Context
  readonly #guard: Guard
  readonly #http: Server
  readonly #onFault: ServeSettings['onFault']
  readonly #jobs: JobEngine | null
  #closing = false

  constructor(models: readonly Served[], settings: ServeSettings) {
    const { jobs } = settings
    const served = new ServedModels(models)
    const scheduler = new Scheduler(served.languages, jobs ? LOADED : 0, jobs?.reserved ?? 0)
    if (jobs) served.fineTuned = new FineTuned(jobs.engine, models[0]!.language.opened, scheduler, jobs.firsts, jobs.open, asServed)
    this.#context = { models: served, scheduler, maxNewTokens: settings.maxNewTokens }
    this.#jobs = jobs?.engine ?? null
    this.#guard = new Guard(settings.key, settings.origins)
    this.#onFault = settings.onFault
    this.#http = createServer({ requestTimeout: jobs ? SLOWEST_FILE : SLOWEST, headersTimeout: SLOWEST / 2 }, (request, response) => {
      void this.#answer(request, response)
    })
    this.#http.on('clientError', refuseUnread)
  }

  /** @param port 0: any that is free @returns the port @throws SaqrError SERVE_PORT */
  async listen(port: number): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.#http.once('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'EADDRINUSE' ? 'is in use' : `can't be listened on: ${cause.message}`
        reject(
          new SaqrError('SERVE_PORT', say`port ${port} ${why}; choose another with ${option('port')} (0: any that is free)`, { cause }),
        )
      })
      this.#http.listen(port, '127.0.0.1', () => resolve((this.#http.address() as AddressInfo).port))
    })
  }

  /** names of what can be asked */
  get models(): string[] {
    return this.#context.models.list().data.map(({ id }) => id)
  }

  /** Takes no more requests, and resolves when the answers under way have ended. */
  async close(): Promise<void> {
    this.#closing = true
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()))
    // clients keep connections open behind an answer that has ended
    const idle = setInterval(() => this.#http.closeIdleConnections(), 50)
    await closed
    clearInterval(idle)
    await this.#context.scheduler.dispose()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const slow = setTimeout(() => {
      if (!request.complete && !isUpload(request)) request.destroy()
    }, SLOWEST)
    let reply = new Reply(response, {})
    try {
      reply = new Reply(response, this.#guard.origin(request))
      await this.#route(request, reply)
    } catch (error) {
      if (reply.signal.aborted || request.errored) return
      const told = apiErrorOf(error)
      if (told.status === 500) this.#onFault(error)
      reply.fail(told)
      if (!request.complete) leaveUnread(request)
    } finally {
      clearTimeout(slow)
    }
  }

  async #route(request: IncomingMessage, reply: Reply): Promise<void> {
    const path = pathOf(request)
    if (request.method === 'OPTIONS' && request.headers.origin !== undefined) {
      const headers = request.headers['access-control-request-headers'] ?? ''
      return reply.empty({ 'access-control-allow-methods': 'GET, POST, DELETE', 'access-control-allow-headers': headers })
    }
    this.#guard.key(request)
    if (this.#closing) throw new ApiError({ status: 503, code: 'shutting_down', message: 'the server is ending' })
    const post = Object.hasOwn(POSTS, path) ? POSTS[path]! : undefined
    const [, model] = /^\/v1\/models\/(.+)$/s.exec(path) ?? []
    if (post) {
      allow(request, 'POST')
      return await post(this.#context, await readBody(request), reply)
    }
    if (path === '/v1/models' || model !== undefined) {
      const { models } = this.#context
      if (model === undefined) {
        allow(request, 'GET')
        return reply.json(models.list())
      }
      return reply.json(allow(request, 'GET', 'DELETE') === 'GET' ? models.describe(model) : models.delete(model))
    }
    if (this.#jobs !== null && (await routeJobs(this.#jobs, { request, path, query: queryOf(request), reply }))) return
    if (this.#jobs === null && /^\/v1\/(files|fine_tuning)(\/|$)/.test(path)) throw notServed(NO_JOBS)
    const [, why] = [...REFUSED, ...NO_PART].find(([pattern]) => pattern.test(path)) ?? []
    if (why !== undefined) throw notServed(why)
    throw new ApiError({ status: 404, code: 'unknown_url', message: `there is nothing at ${request.method} ${path.slice(0, 200)}` })
  }
}

/** What is left of a body that was refused: let through for a moment, so that a client which is still sending comes to read the reason. */
function leaveUnread(request: IncomingMessage): void {
  request.resume()
  setTimeout(() => request.destroy(), UNREAD).unref()
}

/** @throws ApiError 400 */
function pathOf({ url = '/' }: IncomingMessage): string {
  try {
    return decodeURIComponent(url.split('?')[0]!)
  } catch {
    throw new ApiError({ status: 400, code: 'invalid_url', message: 'the path is not percent-encoded UTF-8' })
  }
}

const queryOf = ({ url = '/' }: IncomingMessage) => new URLSearchParams(url.split('?').slice(1).join('?'))

const isUpload = ({ method, url = '/' }: IncomingMessage) => method === 'POST' && /^\/v1\/files(\?|$)/.test(url)

/** What is no HTTP, or too long a head. */
function refuseUnread(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, code] =
    error.code === 'HPE_HEADER_OVERFLOW' ? ['431 Request Header Fields Too Large', 'head_too_large'] : ['400 Bad Request', 'invalid_http']
  const { body } = new ApiError({ status: 400, code: code!, message: 'this is no HTTP request that can be read' })
  const text = JSON.stringify(body)
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}
