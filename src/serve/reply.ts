/** How an answer goes out: whole as JSON, or as server-sent events. */
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type ApiError, apiErrorOf } from './api-error.ts'

export class Reply {
  readonly #response: ServerResponse
  readonly #headers: Readonly<Record<string, string>>
  readonly #gone = new AbortController()

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>) {
    this.#response = response
    this.#headers = headers
    response.on('close', () => {
      if (!response.writableFinished) this.#gone.abort(new DOMException('the client went away', 'AbortError'))
    })
  }

  /** aborts when the client goes away before it has its answer */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  json(value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): void {
    const text = Buffer.from(JSON.stringify(value))
    this.#response.writeHead(status, {
      ...this.#headers,
      'content-type': 'application/json',
      'content-length': text.length,
      ...headers,
    })
    this.#response.end(text)
  }

  /** Bytes as they are. Rejects where the client goes away. */
  async stream(length: number, bytes: Readable): Promise<void> {
    this.#response.writeHead(200, { ...this.#headers, 'content-type': 'application/octet-stream', 'content-length': length })
    await pipeline(bytes, this.#response)
  }

  empty(headers: Readonly<Record<string, string>>): void {
    this.#response.writeHead(204, { ...this.#headers, ...headers })
    this.#response.end()
  }

  /** An event; the first begins the stream. */
  event(value: unknown): void {
    if (this.#response.destroyed) return
    if (!this.#response.headersSent)
      this.#response.writeHead(200, { ...this.#headers, 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    this.#response.write(`data: ${JSON.stringify(value)}\n\n`)
  }

  /** Ends a stream as OpenAI's API does. */
  done(): void {
    this.#response.end('data: [DONE]\n\n')
  }

  /** Once a stream has begun, as its last event. */
  fail(error: unknown): void {
    if (this.#response.destroyed) return
    const told: ApiError = apiErrorOf(error)
    if (!this.#response.headersSent) this.json(told.body, told.status, told.headers)
    else {
      this.event(told.body)
      this.#response.end()
    }
  }
}
