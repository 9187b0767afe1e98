/** Threads that make rows, each with a tokenizer of its own. */
import { readdirSync, statSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { RowWork } from './row-work.ts'
import type { Row } from './rows.ts'

const IN_CHECKOUT = import.meta.url.endsWith('.ts')
/** what is run; from a checkout the compiled one, as Node 20 runs no TypeScript */
const WORKER = new URL(IN_CHECKOUT ? '../../dist/data/row-worker.js' : './row-worker.js', import.meta.url)

/** For developers: of a checkout, threads would make rows by code that was compiled before it was changed. */
export function requireCompiled(sources: URL, stamp: URL): void {
  const compiled = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const changed = readdirSync(sources, { recursive: true, encoding: 'utf8' }).find(
    (name) => name.endsWith('.ts') && statSync(new URL(name.replaceAll('\\', '/'), sources)).mtimeMs > compiled,
  )
  if (changed !== undefined) throw new Error(`dist/ is older than src/ (${changed}), and threads run it: run node tools/ready.mjs`)
}

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
  #threads: Thread<T>[] = []
  #ids = 0
  #wake = () => {}
  readonly #signal: AbortSignal | undefined
  readonly #aborted = () => this.#wake()
  readonly #onFailure: (why: string) => void

  /** @param signal once it is aborted, who waits for news goes on */
  constructor(count: number, start: ThreadStart, signal: AbortSignal | undefined, onFailure: (why: string) => void) {
    if (IN_CHECKOUT && count > 0) requireCompiled(new URL('../', import.meta.url), new URL('../../dist/.stamp', import.meta.url))
    this.#onFailure = onFailure
    this.#signal = signal
    signal?.addEventListener('abort', this.#aborted)
    for (let i = 0; i < count; i++) this.#start(start)
  }

  #start(workerData: ThreadStart): void {
    let worker: Worker
    try {
      worker = new Worker(WORKER, { workerData, execArgv: [] })
    } catch (error) {
      // a process that may start none (node --permission)
      this.#onFailure((error as Error).message)
      return
    }
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
    this.#threads.push(thread)
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
