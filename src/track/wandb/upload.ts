/**
 * What was logged goes to W&B in the background, line after line; nothing of a run waits for it before its end. The run's file has all that is
 * sent: where a server can't be reached, or the process is killed, the next start of the run sends what is missing, by the lines that are there.
 */
import { readFileSync } from 'node:fs'
import { exists } from '../../hub/files.ts'
import { type Bucket, type Chunk, type Server, sendChunk, sendFile, upsertRun, WandbError } from './api.ts'
import { lineOf, type RunInfo, type Values } from './records.ts'
import { fileOf, tablesOf } from './table.ts'

/** in seconds */
export interface Pace {
  /** between two sendings */
  interval: number
  /** after a failure, doubled with each until `slowest` */
  retry: number
  slowest: number
  /** a sign of life at the latest */
  heartbeat: number
}

export const PACE: Pace = { interval: 5, retry: 2, slowest: 60, heartbeat: 30 }

/** Lines of the server's files that stand before ours: those of a run that somebody else began under this id. */
export type Bases = Record<'history' | 'events', number>

export interface UploadOptions {
  server: Omit<Server, 'signal'>
  run: RunInfo
  config: Values
  /** of what was logged before, in order; null: nothing is known of this id */
  bases: Bases | null
  keepBases(bases: Bases): void
  /** folder of the run, whose files lines speak of */
  files: string
  /** a file that will never be taken, or isn't there any more */
  lost(path: string, why: string): void
  /** it was reached for the first time */
  reached(bucket: Bucket): void
  /** it can't be reached, or will never take the run (final); null: it can be reached again */
  trouble(why: string | null, final: boolean): void
  pace: Pace
}

/** about what a server takes at once */
const MOST_BYTES = 4 << 20
const FILES = { history: 'wandb-history.jsonl', events: 'wandb-events.jsonl' } as const

export class Upload {
  readonly #o: UploadOptions
  readonly #server: Server
  readonly #stop = new AbortController()
  readonly #lines: Record<keyof Bases, Values[]> = { history: [], events: [] }
  readonly #sent: Bases = { history: 0, events: 0 }
  #bases: Bases
  #summary: Values | null = null
  #bucket: Bucket | null = null
  #inTrouble = false
  /** files that were sent, or never will be */
  readonly #there = new Set<string>()
  /** it will never take this run */
  #refused: string | null = null
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  #due = 0
  #working: Promise<void> | null = null
  #sentAt = 0
  #ending = false
  /** what went wrong in the background, and is none of the server's */
  #broken: { error: unknown } | null = null

  constructor(options: UploadOptions) {
    this.#o = options
    this.#server = { ...options.server, signal: this.#stop.signal }
    this.#bases = options.bases ?? { history: 0, events: 0 }
  }

  add(file: keyof Bases, values: Values): void {
    this.#lines[file].push(values)
  }

  /** @param summary all of it, as it is now */
  send(summary: Values): void {
    this.#summary = summary
    if (this.#broken) throw this.#broken.error
    // after a failure it is tried again when that is due
    if (this.#failures === 0) this.#plan(this.#bucket === null ? 0 : this.#o.pace.interval)
  }

  /** lines that it does not have */
  get missing(): number {
    return this.#lines.history.length - this.#sent.history
  }

  get refused(): string | null {
    return this.#refused
  }

  /**
   * All that is left, and that the run is over; where that can't be done in time, it is left undone.
   * @param seconds that it may take
   */
  async finish(exitcode: number, seconds: number): Promise<boolean> {
    this.#ending = true
    clearTimeout(this.#timer)
    const { signal } = this.#stop
    const { retry, slowest } = this.#o.pace
    const end = performance.now() + seconds * 1000
    const left = () => end - performance.now()
    const over = pause(left(), signal).then(() => false)
    let failures = 0
    try {
      while (this.#refused === null && left() > 0) {
        const done = (async () => {
          await this.#working
          if (this.#broken) throw this.#broken.error
          return (await this.#attempt()) && (await this.#try(() => this.#post({ complete: true, exitcode })))
        })()
        done.catch(() => {}) // where it comes too late
        if (await Promise.race([done, over])) return true
        await pause(Math.min(left(), 1000 * Math.min(slowest, retry * 2 ** failures++)), signal)
      }
      return false
    } finally {
      this.#stop.abort() // what is under way keeps no process waiting
    }
  }

  #plan(seconds: number): void {
    const due = performance.now() + 1000 * seconds
    if (this.#working || this.#refused !== null || this.#ending || (this.#timer && due >= this.#due)) return
    clearTimeout(this.#timer)
    this.#due = due
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#working = this.#attempt().then(
        (went) => {
          this.#working = null
          const { interval, retry, slowest, heartbeat } = this.#o.pace
          const more = this.missing > 0 || this.#lines.events.length > this.#sent.events
          this.#plan(went ? (more ? interval : heartbeat) : Math.min(slowest, retry * 2 ** (this.#failures - 1)))
        },
        (error: unknown) => {
          this.#working = null
          this.#broken = { error }
        },
      )
    }, 1000 * seconds)
    this.#timer.unref()
  }

  /** Sends what there is. Did all of it go? */
  #attempt(): Promise<boolean> {
    return this.#try(async () => {
      if (this.#bucket === null) await this.#connect()
      for (let chunk = this.#next(); chunk; chunk = this.#next()) {
        // files before the lines that speak of them: whoever goes on knows by the lines which are there
        const { history } = this.#sent
        for (const line of this.#lines.history.slice(history, history + chunk.lines.history))
          for (const path of tablesOf(line)) await this.#sendFile(path)
        await this.#post(chunk.chunk, chunk.lines)
      }
      if (performance.now() - this.#sentAt > 900 * this.#o.pace.heartbeat) await this.#post({})
    })
  }

  async #try(work: () => Promise<void>): Promise<boolean> {
    if (this.#refused !== null) return false
    try {
      await work()
      this.#failures = 0
      if (this.#inTrouble) this.#o.trouble(null, false)
      this.#inTrouble = false
      return true
    } catch (error) {
      if (!(error instanceof WandbError)) throw error
      this.#failures++
      if (error.final) this.#refused = error.message
      if (!this.#inTrouble || error.final) this.#o.trouble(error.message, error.final)
      this.#inTrouble = true
      if (error.wait !== null && !error.final) await pause(Math.min(1000 * error.wait, 1000 * this.#o.pace.slowest), this.#stop.signal)
      return false
    }
  }

  async #connect(): Promise<void> {
    const { run, config, bases, keepBases, reached } = this.#o
    const bucket = await upsertRun(this.#server, run, config)
    for (const file of ['history', 'events'] as const) {
      const there = bucket[file]
      const ours = bases === null ? 0 : Math.min(this.#lines[file].length, Math.max(0, there - bases[file]))
      this.#sent[file] = ours
      this.#bases[file] = bases === null ? there : Math.max(bases[file], there - ours)
    }
    keepBases(this.#bases)
    this.#bucket = bucket
    reached(bucket)
  }

  /** the lines to come, as many as go at once, and the summary with the last of them */
  #next(): { chunk: Chunk; lines: Bases } | null {
    const files: Record<string, { offset: number; content: string[] }> = {}
    const lines = { history: 0, events: 0 }
    let room = MOST_BYTES
    for (const file of ['history', 'events'] as const) {
      const content: string[] = []
      for (let i = this.#sent[file]; i < this.#lines[file].length && room > 0; i++) {
        const line = lineOf(this.#numbered(file, this.#lines[file][i]!))
        room -= Buffer.byteLength(line)
        content.push(line)
      }
      if (content.length === 0) continue
      lines[file] = content.length
      files[FILES[file]] = { offset: this.#bases[file] + this.#sent[file], content }
    }
    if (Object.keys(files).length === 0) return null
    if (this.#summary) files['wandb-summary.json'] = { offset: 0, content: [lineOf(this.#numbered('history', this.#summary))] }
    return { chunk: { files }, lines }
  }

  async #sendFile(path: string): Promise<void> {
    if (this.#there.has(path)) return
    const { files, run, lost } = this.#o
    const local = fileOf(files, path)
    if (!exists(local)) lost(path, 'never got it, and it is gone')
    else {
      const why = await sendFile(this.#server, this.#bucket!, run.id, { path, content: readFileSync(local) })
      if (why !== null) lost(path, why)
    }
    this.#there.add(path)
  }

  /** steps count the lines of the history */
  #numbered(file: keyof Bases, values: Values): Values {
    const { _step: step } = values
    return file === 'history' && typeof step === 'number' ? { ...values, _step: step + this.#bases.history } : values
  }

  async #post(chunk: Chunk, lines: Bases = { history: 0, events: 0 }): Promise<void> {
    await sendChunk(this.#server, this.#bucket!, this.#o.run.id, chunk)
    this.#sentAt = performance.now()
    this.#sent.history += lines.history
    this.#sent.events += lines.events
  }
}

/** ends early, too, where the signal aborts */
const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, Math.max(0, ms))
    signal.addEventListener('abort', end)
  })
