/** Threads that make rows, each with a tokenizer of its own. */
import { Worker } from 'node:worker_threads'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { RowWork } from './row-work.ts'
import type { Row } from './rows.ts'

/** what is run; from a checkout the compiled one, as Node 20 runs no TypeScript */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? '../../dist/data/row-worker.js' : './row-worker.js', import.meta.url)

/** What a thread is started with. */
export interface ThreadStart {
  work: RowWork
  /** the tokenizer's files as JSON, and what else it was made of */
  files: string
  modelType: string | undefined
  special: Tokenizer['special']
  /** of the tokenizer: another one is not to be used */
  fingerprint: string
}

/** Rows to make, as they are carried, null: not by a thread; and what messages call each. */
export interface Asked {
  id: number
  rows: readonly (Row | string | null)[]
  wheres: readonly string[]
}

/** What was made of each; null: what is wrong with it is told by who makes it again */
export interface Answered<T> {
  id: number
  made: readonly (T | null)[]
}

/** rows that wait at a thread while it makes others: batches of them */
const AHEAD = 2

interface Thread<T> {
  worker: Worker
  ready: boolean
  asked: Map<number, { rows: number; done: (made: readonly (T | null)[]) => void }>
}

export class RowThreads<T> {
  #threads: Thread<T>[]
  #ids = 0
  #wake = () => {}
  readonly #signal: AbortSignal | undefined
  readonly #aborted = () => this.#wake()
  readonly #onFailure: (why: string) => void

  /** @param signal once it is aborted, who waits for news goes on */
  constructor(count: number, start: ThreadStart, signal: AbortSignal | undefined, onFailure: (why: string) => void) {
    this.#onFailure = onFailure
    this.#signal = signal
    signal?.addEventListener('abort', this.#aborted)
    this.#threads = Array.from({ length: count }, () => this.#start(start))
  }

  #start(workerData: ThreadStart): Thread<T> {
    const worker = new Worker(WORKER, { workerData, execArgv: [] })
    const thread: Thread<T> = { worker, ready: false, asked: new Map() }
    const end = (why: string) => {
      if (!this.#threads.includes(thread)) return
      this.#threads = this.#threads.filter((one) => one !== thread)
      this.#onFailure(why)
      // what it had is made by who asked
      for (const { rows, done } of thread.asked.values()) done(new Array(rows).fill(null))
      this.#wake()
    }
    worker.on('message', (message: 'ready' | Answered<T>) => {
      if (message === 'ready') thread.ready = true
      else {
        thread.asked.get(message.id)!.done(message.made)
        thread.asked.delete(message.id)
      }
      this.#wake()
    })
    worker.once('error', (error: Error) => end(error.message))
    worker.once('exit', (code) => end(`exit code ${code}`))
    return thread
  }

  /** that have not ended */
  get count(): number {
    return this.#threads.length
  }

  get #free(): Thread<T> | undefined {
    const [free] = this.#threads.filter(({ ready, asked }) => ready && asked.size < AHEAD).sort((a, b) => a.asked.size - b.asked.size)
    return free
  }

  get hasRoom(): boolean {
    return this.#free !== undefined
  }

  /** Gives rows to the thread that has least to do: there must be room. */
  make(rows: Asked['rows'], wheres: readonly string[], done: (made: readonly (T | null)[]) => void): void {
    const { worker, asked } = this.#free!
    const id = this.#ids++
    asked.set(id, { rows: rows.length, done })
    worker.postMessage({ id, rows, wheres } satisfies Asked)
  }

  /** Resolves once a thread has said something, has ended, or the signal is aborted. */
  async news(): Promise<void> {
    if (this.#signal?.aborted) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = () => {}
  }

  /** Whatever they are at. */
  async end(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#aborted)
    const threads = this.#threads
    this.#threads = []
    await Promise.all(threads.map(({ worker }) => worker.terminate()))
  }
}
