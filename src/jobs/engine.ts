/**
 * Jobs from their making to their end: files looked at, a queue, one process that trains at a time. Every change of a job is on the disk before it
 * is told; what a kill left unfinished goes on when the folder is opened again.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { shown } from '../hub/arguments.ts'
import { makeFolder } from '../hub/files.ts'
import { lockFolder } from '../train/lock.ts'
import { closed, isDiskFull, noSuch, notNow } from './errors.ts'
import { bytesOf, FileStore } from './file-store.ts'
import { settled } from './hyperparameters.ts'
import { idOf, isId, newId } from './ids.ts'
import { type Made, makerOf, modelsOf, sweepCheckpoints, userOf } from './made.ts'
import { type BaseSettings, type Heard, PLACES, type Work } from './messages.ts'
import { type FineTuningJob, hasEnded, hyperparametersOf, methodOf, now } from './objects.ts'
import { TrainingProcess } from './process.ts'
import { JobRecord, message } from './record.ts'
import type { CheckedRequest } from './request.ts'
import { trainingLines } from './rows.ts'
import { keepCheckpoint, modelName, tellMetrics, tellStart } from './tell.ts'

/** What can be trained over, by name. */
export interface Trainable {
  /** Hub id or path */
  path: string
  revision: string | null
}

export interface EngineSettings {
  models: ReadonlyMap<string, Trainable>
  base: BaseSettings
  /** bytes on the device that a job may take; null: what is free when it begins */
  memory: number | null
}

/** rows of a job, in its folder */
const ROWS = { training: 'training.jsonl', validation: 'validation.jsonl' } as const

export class JobEngine {
  readonly files: FileStore
  readonly #folder: string
  #settings: EngineSettings | null = null
  readonly #records = new Map<string, JobRecord>()
  readonly #unlock: () => void
  #running: { record: JobRecord; process: TrainingProcess; ended: Promise<void> } | null = null
  #checking = new Set<Promise<void>>()
  #turn = 0
  #closed = false

  /** Takes the folder; nothing of it goes on before `start`. @throws SaqrError JOB_FOLDER while another process has it; FORMAT_… */
  constructor(given: string) {
    const folder = resolve(given)
    this.#folder = folder
    makeFolder(folder)
    this.#unlock = lock(folder)
    try {
      this.files = new FileStore(join(folder, 'files'))
      const jobs = join(folder, 'jobs')
      makeFolder(jobs)
      for (const name of readdirSync(jobs)) {
        const record = isId(name, 'ftjob') ? JobRecord.open(join(jobs, name)) : null
        if (record === null) rmSync(join(jobs, name), { recursive: true, force: true })
        else this.#records.set(name, record)
      }
    } catch (error) {
      this.#unlock()
      throw error
    }
  }

  /** Jobs that were under way go on, and new ones are taken. */
  start(settings: EngineSettings): void {
    this.#settings = settings
    for (const record of this.#records.values()) this.#takeUp(record)
    this.#next()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** newest first */
  get records(): JobRecord[] {
    return [...this.#records.values()].sort((a, b) => b.saved.job.created_at - a.saved.job.created_at || b.saved.turn - a.saved.turn)
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  record(id: string): JobRecord {
    const found = this.#records.get(id)
    if (!found) throw noSuch('job', id)
    return found
  }

  /** The models that jobs made, by name: what came out of them, and of their last epochs. */
  models(): Map<string, Made> {
    return modelsOf(this.records)
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_CLOSED, JOB_STATE while a job begins from it */
  deleteModel(name: string): void {
    this.#open()
    const made = this.models().get(name)
    if (made === undefined) throw noSuch('model', name)
    const user = userOf(made.folder, this.records)
    if (user) throw notNow(`${name} is what ${user.saved.job.id} trains on: cancel that job first, or wait for it`)
    const record = makerOf(made.folder, this.records)!
    record.change({ deleted: [...record.saved.deleted, name] })
    rmSync(made.folder, { recursive: true, force: true })
  }

  /** @throws SaqrError JOB_NOT_FOUND, OPTION_INVALID, FORMAT_DISK_FULL … */
  create({ model, trainingFile, validationFile, method, suffix, seed, metadata }: CheckedRequest): JobRecord {
    const { models, memory } = this.#open()
    const { path: base, revision, root, first } = this.#trainable(model, models)
    const source = (id: string, param: string) => {
      const { filename, purpose } = this.files.get(id, param)
      if (purpose !== 'fine-tune')
        throw new SaqrError('OPTION_INVALID', say`${option(param)}: ${id} holds the results of a job; give a file of examples`)
      return `${filename} (${id})`
    }
    const said = {
      training: source(trainingFile, 'training_file'),
      validation: validationFile === null ? null : source(validationFile, 'validation_file'),
    }
    const id = newId('ftjob')
    const job: FineTuningJob = {
      object: 'fine_tuning.job',
      id,
      model,
      created_at: now(),
      finished_at: null,
      fine_tuned_model: null,
      organization_id: 'org-saqr',
      result_files: [],
      status: 'validating_files',
      validation_file: validationFile,
      training_file: trainingFile,
      hyperparameters: hyperparametersOf(method),
      trained_tokens: null,
      error: null,
      user_provided_suffix: suffix,
      seed,
      estimated_finish: null,
      integrations: [],
      metadata,
      method,
    }
    const saved = { job, base, revision, root, first, memory, validated: false, turn: ++this.#turn, checkpoints: [], said, deleted: [] }
    const rows = {
      [ROWS.training]: this.files.contentPath(trainingFile),
      ...(validationFile === null ? {} : { [ROWS.validation]: this.files.contentPath(validationFile) }),
    }
    const record = JobRecord.make(join(this.#folder, 'jobs', id), saved, rows)
    this.#records.set(id, record)
    this.#validate(record)
    return record
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_STATE for one that has ended */
  cancel(id: string): JobRecord {
    const record = this.#going(id, 'cancelled')
    record.change({ job: { status: 'cancelled', finished_at: now() } }, message('info', 'The job has been cancelled'))
    if (this.#running?.record === record) void this.#running.process.cancel()
    else this.#clear(record)
    return record
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_STATE for one that has ended, or is paused */
  pause(id: string): JobRecord {
    const record = this.#going(id, 'paused')
    if (record.saved.job.status === 'paused') throw notNow(`${id} is paused already`)
    record.change({ job: { status: 'paused' } }, message('info', 'Fine-tuning job paused'))
    if (this.#running?.record === record) this.#running.process.stop()
    return record
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_STATE for one that is not paused */
  resume(id: string): JobRecord {
    this.#open()
    const record = this.record(id)
    const { job, validated } = record.saved
    if (job.status !== 'paused') throw notNow(`${id} is ${spoken(job.status)}, not paused`)
    const status = validated ? 'queued' : 'validating_files'
    record.change({ job: { status }, turn: ++this.#turn }, message('info', 'Fine-tuning job resumed'))
    if (validated) this.#next()
    else this.#validate(record)
    return record
  }

  /** A job that runs saves a checkpoint, from which it goes on when the folder is opened again. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#running?.process.stop()
    await this.#running?.ended
    await Promise.all(this.#checking)
    for (const { log } of this.records) log.wake()
    this.files.close()
    this.#unlock()
  }

  #open(): EngineSettings {
    if (this.#closed || this.#settings === null) throw closed()
    return this.#settings
  }

  #going(id: string, what: string): JobRecord {
    this.#open()
    const record = this.record(id)
    const { status } = record.saved.job
    if (hasEnded({ status })) throw notNow(`${id} has ${status === 'cancelled' ? 'been cancelled' : status} already: it can’t be ${what}`)
    return record
  }

  #trainable(name: string, models: EngineSettings['models']): Trainable & { root: string; first: string } {
    const base = models.get(name)
    if (base) return { ...base, root: name, first: base.path }
    const made = this.models().get(name)
    if (made) return { path: made.folder, revision: null, root: makerOf(made.folder, this.records)!.saved.root, first: made.first }
    const names = [...models.keys(), ...this.models().keys()].join(', ')
    throw new SaqrError('JOB_NOT_FOUND', say`${option('model')}: there is no model ${shown(name)} to train: there is ${names}`)
  }

  /** What the last process left a job in. */
  #takeUp(record: JobRecord): void {
    const { job, turn } = record.saved
    this.#turn = Math.max(this.#turn, turn)
    if (hasEnded(job)) this.#clear(record)
    else if (job.status === 'validating_files') this.#validate(record)
    else if (job.status === 'running') {
      try {
        record.change({ job: { status: 'queued' } }, message('info', 'The job goes on from its last checkpoint'))
      } catch (error) {
        this.#suspend(record, (error as Error).message)
      }
    }
  }

  /** Nothing of its run is needed any more. */
  #clear(record: JobRecord): void {
    const { deleted, checkpoints } = record.saved
    for (const one of checkpoints) if (deleted.includes(one.fine_tuned_model_checkpoint)) record.remove(PLACES.checkpoint(one.step_number))
    if (deleted.includes(record.saved.job.fine_tuned_model ?? '')) record.remove(PLACES.model)
    record.remove(PLACES.run, ROWS.training, ROWS.validation, PLACES.results)
    if (record.saved.job.status !== 'succeeded') record.remove(PLACES.model)
    for (const one of [record, makerOf(record.saved.base, this.records)]) if (one) sweepCheckpoints(one, this.records)
  }

  #validate(record: JobRecord): void {
    const checking = this.#check(record).finally(() => {
      this.#checking.delete(checking)
      this.#next()
    })
    this.#checking.add(checking)
  }

  async #check(record: JobRecord): Promise<void> {
    const { job, said } = record.saved
    const { type } = job.method
    const isWanted = () => !this.#closed && record.saved.job.status === 'validating_files'
    const counts = { training: 0, validation: 0 }
    await this.#guarded(record, async () => {
      record.tell(
        message(
          'info',
          `Validating training file: ${job.training_file}${job.validation_file ? ` and validation file: ${job.validation_file}` : ''}`,
        ),
      )
      for (const part of ['training', 'validation'] as const) {
        const name = said[part]
        if (name === null) continue
        try {
          for await (const _ of trainingLines(join(record.folder, ROWS[part]), name, type)) {
            if (!isWanted()) return
            counts[part]++
          }
        } catch (error) {
          if (!isWanted()) return
          if (!(error instanceof SaqrError) || !/^(DATA_|FORMAT_(JSON|TEXT))/.test(error.code)) throw error
          return this.#fail(record, { code: `invalid_${part}_file`, message: error.message, param: `${part}_file` })
        }
      }
      if (!isWanted()) return
      const numbers = settled(type, hyperparametersOf(job.method), counts.training)
      const change = { status: 'queued', hyperparameters: numbers, method: methodOf(type, numbers) } as const
      record.change({ job: change, validated: true }, message('info', 'Files validated, moving job to queued state'))
    })
  }

  /** The next in the order they came begins where none runs, when its files have been looked at: no smaller one passes it meanwhile. */
  #next(): void {
    if (this.#running !== null || this.#closed || this.#settings === null) return
    const waiting = this.records.filter(({ saved }) => /^(queued|validating_files)$/.test(saved.job.status))
    const [record] = waiting.sort((a, b) => a.saved.turn - b.saved.turn)
    if (record?.saved.job.status !== 'queued') return
    let finishing = Promise.resolve()
    const hear = (heard: Heard) => {
      finishing = finishing.then(async () => void (await this.#guarded(record, () => this.#hear(record, heard))))
    }
    try {
      record.change({ job: { status: 'running' } }, message('info', 'Fine-tuning job started'))
    } catch (error) {
      this.#suspend(record, (error as Error).message)
      this.#next()
      return
    }
    const process = new TrainingProcess(this.#workOf(record, this.#settings.base), hear)
    const ended = process.ended
      .then(() => finishing)
      .then(() => {
        record.progress = null
        this.#running = null
        if (hasEnded(record.saved.job)) this.#clear(record)
        this.#next()
      })
    this.#running = { record, process, ended }
  }

  #workOf({ folder, saved }: JobRecord, settings: BaseSettings): Work {
    const { job, base, revision, memory, said } = saved
    return {
      ...settings,
      folder,
      base,
      revision,
      memory,
      type: job.method.type,
      hyperparameters: hyperparametersOf(job.method) as Work['hyperparameters'],
      seed: job.seed,
      training: { path: join(folder, ROWS.training), said: said.training },
      validation: said.validation === null ? null : { path: join(folder, ROWS.validation), said: said.validation },
    }
  }

  async #hear(record: JobRecord, heard: Heard): Promise<void> {
    // paused or cancelled: what its run still says is said again, or of no use
    if (record.saved.job.status !== 'running') return
    if (heard.type === 'started') tellStart(record, heard)
    else if (heard.type === 'metrics') tellMetrics(record, heard.entry)
    else if (heard.type === 'checkpoint') {
      keepCheckpoint(record, heard.step)
      sweepCheckpoints(record, this.records)
    } else if (heard.type === 'message') record.tell(message(heard.level, heard.message))
    else if (heard.type === 'done') await this.#succeed(record, heard.tokens)
    else if ((heard.type === 'stopped' || heard.type === 'killed') && this.#closed)
      record.change({ job: { status: 'queued' } }, message('warn', 'saqr ends: the job goes on when it is started again'))
    else if (heard.type === 'stopped') {
      const why = 'The job’s process was told to end from outside: resume the job to go on'
      record.change({ job: { status: 'paused' } }, message('warn', why))
    } else if (heard.type === 'killed')
      this.#suspend(record, 'The job’s process was killed (SIGKILL), as systems do where memory is short.')
    else if (heard.code === 'format_disk_full') this.#suspend(record, heard.message)
    else this.#fail(record, heard)
  }

  /** A disk that is full, or memory that is short, ends nothing: the job stands still, with what is on the disk to go on from. */
  #suspend(record: JobRecord, why: string): void {
    const event = message('error', `${why} The job is paused: make room, and resume it.`)
    try {
      record.change({ job: { status: 'paused' } }, event)
    } catch {
      record.standStill(event)
    }
    if (this.#running?.record === record) this.#running.process.stop()
  }

  /** What goes wrong with a job's files on our side is the job's end, or stops it. @returns false where it did */
  async #guarded(record: JobRecord, work: () => void | Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      const code = error instanceof SaqrError ? error.code.toLowerCase() : 'server_error'
      if (isDiskFull(error)) this.#suspend(record, text)
      else this.#fail(record, { code, message: text, param: null })
      if (this.#running?.record === record) this.#running.process.stop()
      return false
    }
  }

  #fail(record: JobRecord, { code, message: text, param }: { code: string; message: string; param: string | null }): void {
    const event = message('error', text)
    try {
      record.change({ job: { status: 'failed', finished_at: now(), error: { code, message: text, param } } }, event)
    } catch {
      record.standStill(event)
    }
    if (this.#running?.record !== record && hasEnded(record.saved.job)) this.#clear(record)
  }

  async #succeed(record: JobRecord, tokens: number): Promise<void> {
    const { id, user_provided_suffix: suffix } = record.saved.job
    const results = idOf('file', id, 'results')
    await this.files.add(
      bytesOf(join(record.folder, PLACES.results)),
      () => ({ filename: 'step_metrics.csv', purpose: 'fine-tune-results' }),
      results,
    )
    // cancelled meanwhile, or paused: then it is said again
    if (record.saved.job.status !== 'running') {
      this.files.delete(results)
      return
    }
    const name = modelName(record.saved.root, suffix, id)
    record.change(
      { job: { status: 'succeeded', finished_at: now(), fine_tuned_model: name, result_files: [results], trained_tokens: tokens } },
      message('info', `New fine-tuned model created: ${name}`),
      message('info', 'The job has successfully completed'),
    )
  }
}

const spoken = (status: FineTuningJob['status']) => (status === 'validating_files' ? 'having its files validated' : status)

/** @throws SaqrError JOB_FOLDER */
function lock(folder: string): () => void {
  try {
    return lockFolder(folder)
  } catch (cause) {
    if (!(cause instanceof SaqrError) || cause.code !== 'TRAIN_LOCKED') throw cause
    const [who] = cause.message.split(':')
    throw new SaqrError('JOB_FOLDER', say`${option('jobsDir')}: ${who}: end that, or name another folder`, { cause })
  }
}
