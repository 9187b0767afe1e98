/** The process that a job is trained in, as whoever started it sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Heard, Told, Work } from './messages.ts'

/** milliseconds that a process has to save what it has and go, where nothing of it is wanted any more */
const PATIENCE = 10_000

/** what is run; from a checkout the compiled one, as Node 20 runs no TypeScript */
const WORKER = new URL(import.meta.url.endsWith('.ts') ? '../../dist/package/job-worker.js' : '../package/job-worker.js', import.meta.url)

export class TrainingProcess {
  readonly #child: ChildProcess
  /** resolves when it has ended */
  readonly ended: Promise<void>

  /** @param hear is told what it says; a process that ends by itself without a last word has failed, one that was killed may go on */
  constructor(work: Work, hear: (message: Heard) => void) {
    // numbers that are none (NaN) come as they are
    const child = fork(WORKER, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], serialization: 'advanced', execArgv: [] })
    this.#child = child
    let told = ''
    let last = false
    child.stderr!.on('data', (bytes: Buffer) => {
      told = (told + bytes.toString()).slice(-2000)
    })
    child.on('message', (message: Heard) => {
      last ||= message.type === 'done' || message.type === 'stopped' || message.type === 'failed'
      hear(message)
    })
    this.ended = new Promise((resolve) => {
      const end = (why: string) => {
        if (!last && why === 'SIGKILL') hear({ type: 'killed' })
        else if (!last)
          hear({
            type: 'failed',
            code: 'server_error',
            message: `the process that trains ended by itself (${why})${told === '' ? '' : `: ${told.trim()}`}`,
            param: null,
          })
        last = true
        resolve()
      }
      // what it said last is read before its pipes are closed
      child.once('close', (code, signal) => end(signal ?? `exit code ${code}`))
      child.once('error', (error) => end(error.message))
    })
    this.#tell({ type: 'work', work })
  }

  /** It saves a checkpoint of its last step and ends. */
  stop(): void {
    this.#tell({ type: 'stop' })
  }

  /** It ends, soon, whatever becomes of its work. */
  async cancel(): Promise<void> {
    this.stop()
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE)
    await this.ended
    clearTimeout(kill)
  }

  #tell(message: Told): void {
    // one that is gone needs not be told
    if (this.#child.connected) this.#child.send(message, () => {})
  }
}
