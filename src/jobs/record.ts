/** A job as it lies on disk: what is told of it, what it needs to be done, and its events. */
import { copyFileSync, existsSync, linkSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { readJsonObject } from '../formats/json.ts'
import { exists, fileError, writeFileAtomic } from '../hub/files.ts'
import { EventLog } from './event-log.ts'
import { newId } from './ids.ts'
import { type FineTuningJob, type FineTuningJobCheckpoint, type FineTuningJobEvent, now } from './objects.ts'

/** job.json */
interface Saved {
  job: FineTuningJob
  /** Hub id or path of what is trained over */
  base: string
  /** of the Hub */
  revision: string | null
  /** what names of models that come out of it begin with: that of the first base */
  root: string
  /** path or Hub id of that base */
  first: string
  /** bytes that its run may take; null: what was free when it began */
  memory: number | null
  /** its files were found to be sound */
  validated: boolean
  /** jobs are done in this order */
  turn: number
  checkpoints: FineTuningJobCheckpoint[]
  /** what messages call its files */
  said: { training: string; validation: string | null }
  /** names of models of it that were deleted */
  deleted: string[]
  /** events of the last change, and those before it that the log did not take: they are there too, unless a kill came between */
  last: FineTuningJobEvent[]
}

const FACTS = 'job.json'
const EVENTS = 'events.jsonl'

export class JobRecord {
  readonly folder: string
  readonly #log: EventLog
  #saved: Saved
  /** told, but not in the log's file yet */
  #owed: readonly FineTuningJobEvent[] = []
  /** of its run: steps, and when they were done, for the time that is left */
  progress: { steps: number; from: number; since: number; step: number } | null = null

  private constructor(folder: string, saved: Saved) {
    this.folder = folder
    this.#saved = saved
    this.#log = new EventLog(join(folder, EVENTS))
    this.#tellLasting(saved.last.filter((event) => !this.#log.has(event)))
  }

  /** Of a job that is there; null where a kill came before all of it was. @throws SaqrError FORMAT_… */
  static open(folder: string): JobRecord | null {
    if (!exists(join(folder, FACTS))) return null
    return new JobRecord(folder, readJsonObject(join(folder, FACTS)) as unknown as Saved)
  }

  /** @param sources files that it trains on, by name: they stay its own, whatever becomes of them elsewhere @throws SaqrError FORMAT_… */
  static make(folder: string, saved: Omit<Saved, 'last'>, sources: Readonly<Record<string, string>>): JobRecord {
    try {
      mkdirSync(folder)
      for (const [name, path] of Object.entries(sources)) linkOrCopy(path, join(folder, name))
    } catch (cause) {
      rmSync(folder, { recursive: true, force: true })
      throw fileError(cause, folder, 'write')
    }
    const record = new JobRecord(folder, { ...saved, last: [] })
    try {
      record.change({}, message('info', `Created fine-tuning job: ${saved.job.id}`))
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
    return record
  }

  get saved(): Readonly<Saved> {
    return this.#saved
  }

  get job(): FineTuningJob {
    return { ...this.#saved.job, estimated_finish: this.#finish() }
  }

  get log(): EventLog {
    return this.#log
  }

  /**
   * On the disk when it returns, with its events, whole or not at all: what the log does not take stays in job.json until it does.
   * @throws SaqrError FORMAT_DISK_FULL … the job is then as it was
   */
  change({ job, ...more }: Partial<Omit<Saved, 'job' | 'last'>> & { job?: Partial<FineTuningJob> }, ...events: FineTuningJobEvent[]): void {
    const saved = { ...this.#saved, ...more, job: { ...this.#saved.job, ...job }, last: [...this.#owed, ...events] }
    writeFileAtomic(join(this.folder, FACTS), `${JSON.stringify(saved, null, 2)}\n`)
    this.#saved = saved
    this.#tellLasting(saved.last)
    this.#log.wake()
  }

  /** Events that job.json has: nothing is lost, and nothing undone, where their file takes none of them. */
  #tellLasting(events: readonly FineTuningJobEvent[]): void {
    try {
      this.#log.append(events, true)
      this.#owed = []
    } catch {
      for (const event of events) this.#log.keep(event)
      this.#owed = events
    }
  }

  /** An event that a run says again where it goes on from before. @throws SaqrError FORMAT_DISK_FULL … */
  tell(event: FineTuningJobEvent): void {
    this.#log.append([event], false)
  }

  /** A disk that takes nothing: the job stands still, known to this process alone. One that is opened after it finds the job as it was. */
  standStill(why: FineTuningJobEvent): void {
    this.#saved = { ...this.#saved, job: { ...this.#saved.job, status: 'paused' } }
    this.#log.keep(why)
  }

  /** What can't be removed now is when the folder is opened again: no job is the worse for it. */
  remove(...names: string[]): void {
    for (const name of names) {
      try {
        rmSync(join(this.folder, name), { recursive: true, force: true })
      } catch {
        // another program has it open, or its permissions were changed
      }
    }
  }

  /** the last step that metrics of this kind were told of */
  toldOf(key: 'train_loss' | 'full_valid_loss'): number {
    return this.#log.events.findLast(({ data }) => key in data)?.data.step ?? 0
  }

  #finish(): number | null {
    if (this.progress === null || this.#saved.job.status !== 'running') return null
    const { steps, from, since, step } = this.progress
    if (step === from) return null
    return Math.round(now() + ((Date.now() / 1000 - since) / (step - from)) * (steps - step))
  }
}

/** A line of a job's events. */
export function message(level: FineTuningJobEvent['level'], text: string): FineTuningJobEvent {
  return { id: newId('ftevent'), object: 'fine_tuning.job.event', created_at: now(), level, message: text, type: 'message', data: {} }
}

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    // file systems without links
    if (!existsSync(from)) throw error
    copyFileSync(from, to)
  }
}
