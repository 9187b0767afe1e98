/** Fine-tuning jobs in a program: OpenAI's, without HTTP. Each trains in a process of its own, so that the program's event loop stays free. */
import { basename, resolve } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import {
  as,
  type Check,
  type Checks,
  either,
  filled,
  flag,
  hasMethods,
  instance,
  kind,
  mapping,
  orNull,
  signal,
  take,
  takeOptions,
  text,
  Unfit,
  whole,
  word,
} from '../hub/arguments.ts'
import { isFile, isFolder } from '../hub/files.ts'
import { notFound } from '../hub/not-found.ts'
import { templateOf } from '../text/named-templates.ts'
import { sizeInBytes } from '../train/options/schemas.ts'
import { JobEngine, type Trainable } from './engine.ts'
import { closed, noSuch } from './errors.ts'
import { bytesOf } from './file-store.ts'
import {
  type FileObject,
  type FineTuningJob,
  type FineTuningJobCheckpoint,
  type FineTuningJobEvent,
  type FineTuningJobRequest,
  hasEnded,
} from './objects.ts'
import { takeRequest } from './request.ts'

/** Where jobs are kept, what they may train over, and how that is opened. */
export interface FineTuningJobsOptions {
  /** folder that files, jobs and models are kept in; made where it is not there, and taken by one program at a time */
  jobsDir: string
  /** what can be trained over: a name for each Hub id, folder, .gguf file or folder of an adapter */
  models: Readonly<Record<string, string>>
  /** auto (default), cpu, cuda, cuda:N or reference */
  device?: string
  /** of the CPU; default: as many as processors that the process may use */
  threads?: number | null
  /** what is computed in: bfloat16 (default) or float32 */
  dtype?: 'bfloat16' | 'float32'
  /** hold the base in 4-bit NF4; default true, as programs open models */
  loadIn4bit?: boolean
  /** quantise NF4's scales too; default true */
  doubleQuant?: boolean
  /** what a job may take on the device: a size such as `8GB`, or bytes; default: what is free when it begins */
  memory?: number | string | null
  /** token at which answers end; default: the tokenizer's */
  eosToken?: string | null
  /** Jinja source, or chatml, gemma-3, llama-3, phi-3; default: the tokenizer's */
  chatTemplate?: string | null
}

const sizes: Check<number> = as(
  kind<number | string>('a size such as 8GB, 512MiB or a number of bytes', (v) => {
    return (typeof v === 'string' || typeof v === 'number') && sizeInBytes(v) !== undefined
  }),
  (size) => sizeInBytes(size)!,
)
const named: Check<Record<string, string>> = kind('an object from name to Hub id, folder or file, with at least one', (v) => {
  if (mapping.take(v) instanceof Unfit) return false
  const all = Object.entries(v as object)
  return all.length > 0 && all.every((pair) => pair.every((part) => typeof part === 'string' && part.trim() !== ''))
})

const OPTIONS: Checks<Omit<FineTuningJobsOptions, 'memory' | 'dtype'> & { memory: number | null; dtype: 'f32' | 'bf16' }> = {
  jobsDir: filled,
  models: named,
  device: kind('auto, cpu, cuda, cuda:N or reference', (v) => typeof v === 'string' && /^(auto|cpu|reference|cuda(:\d+)?)$/.test(v)),
  threads: orNull(whole(1, 1024)),
  dtype: word({ bfloat16: 'bf16', bf16: 'bf16', float32: 'f32', f32: 'f32' } as const) as Check<'f32' | 'bf16'>,
  loadIn4bit: flag,
  doubleQuant: flag,
  memory: orNull(sizes),
  eosToken: orNull(filled),
  chatTemplate: orNull(text),
}

type Bytes = Uint8Array | AsyncIterable<Uint8Array>
const source: Check<string | Bytes> = either(
  filled,
  kind<Bytes>('a path, bytes or an iterable of bytes', (v) => v instanceof Uint8Array || hasMethods(v, Symbol.asyncIterator)),
)
const FILE: Checks<{ filename: string }> = { filename: filled }
const FOLLOW: Checks<{ signal: AbortSignal }> = { signal }

/** OpenAI's files and fine-tuning jobs, kept in a folder, which `open` opens. One job trains at a time, in a process of its own. */
export class FineTuningJobs {
  /** @internal */
  readonly engine: JobEngine

  /** @internal */
  constructor(engine: JobEngine) {
    this.engine = take(engine, 'engine', instance(JobEngine, 'what FineTuningJobs.open makes: call that'))
  }

  /**
   * Opens the folder; jobs that were under way in it go on.
   * @example
   * const jobs = await FineTuningJobs.open({ jobsDir: 'jobs', models: { smollm2: 'HuggingFaceTB/SmolLM2-135M-Instruct' } })
   * const { id: training_file } = await jobs.createFile('rows.jsonl')
   * const job = await jobs.create({ model: 'smollm2', training_file })
   * for await (const event of jobs.events(job.id)) console.log(event.message)
   * @throws SaqrError OPTION_…; JOB_FOLDER while another process has the folder; FORMAT_… where it can't be read or written
   */
  static async open(options: FineTuningJobsOptions): Promise<FineTuningJobs> {
    const o = takeOptions(options, 'FineTuningJobs.open', OPTIONS)
    for (const name of ['jobsDir', 'models'] as const)
      if (o[name] === undefined) throw new SaqrError('OPTION_INVALID', say`FineTuningJobs.open needs ${option(name)}`)
    const loadIn4bit = o.loadIn4bit ?? true
    if (o.doubleQuant === true && !loadIn4bit)
      throw new SaqrError('OPTION_INVALID', say`${option('doubleQuant')} has no effect without ${option('loadIn4bit')}: leave it out`)
    const models = Object.entries(o.models!).map(([name, given]): [string, Trainable] => {
      // a job goes on wherever its folder is opened from
      return [name, { path: isFile(given) || isFolder(given) ? resolve(given) : given, revision: null }]
    })
    const base = {
      device: o.device ?? 'auto',
      threads: o.threads ?? null,
      choice: { dtype: o.dtype ?? 'bf16', loadIn4bit, doubleQuant: loadIn4bit && (o.doubleQuant ?? true) },
      eosToken: o.eosToken ?? null,
      chatTemplate: o.chatTemplate == null ? null : templateOf(o.chatTemplate),
    }
    const engine = new JobEngine(o.jobsDir!)
    try {
      engine.start({ models: new Map(models), base, memory: o.memory ?? null })
    } catch (error) {
      await engine.close()
      throw error
    }
    return new FineTuningJobs(engine)
  }

  /**
   * Keeps a copy of a file of examples, a line of JSON each.
   * @param file its path, or its bytes (of a text: `Buffer.from(text)`)
   * @throws SaqrError OPTION_…, FORMAT_NOT_FOUND, JOB_CLOSED, JOB_FILE_TOO_LARGE, FORMAT_DISK_FULL …
   */
  async createFile(file: string | Bytes, options?: { filename?: string }): Promise<FileObject> {
    const given = take(file, 'file', source)
    const o = takeOptions(options, 'createFile', FILE)
    if (typeof given === 'string' && !isFile(given)) {
      const message = 'createFile takes a path or bytes, and this string is the text of a file: give Buffer.from(text)'
      throw given.includes('\n') ? new SaqrError('OPTION_INVALID', message) : notFound(given)
    }
    const bytes = typeof given === 'string' ? bytesOf(given) : given instanceof Uint8Array ? [given] : given
    const filename = o.filename ?? (typeof given === 'string' ? basename(given) : 'file.jsonl')
    return await this.engine.files.add(bytes, () => ({ filename, purpose: 'fine-tune' }))
  }

  /** Files and results of jobs, newest first. */
  listFiles(): FileObject[] {
    return this.engine.files.list()
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  retrieveFile(id: string): FileObject {
    return this.engine.files.get(id)
  }

  /** Its bytes, a part at a time. @throws SaqrError JOB_NOT_FOUND */
  fileContent(id: string): AsyncIterable<Uint8Array> {
    return this.engine.files.read(id)
  }

  /** Jobs that were made of it keep what they need. @throws SaqrError JOB_NOT_FOUND, JOB_CLOSED */
  deleteFile(id: string): void {
    this.engine.files.delete(id)
  }

  /**
   * Queues a job. Its file is looked at line by line first: one that can't be trained on fails the job, and is named.
   * @throws SaqrError OPTION_…, JOB_NOT_FOUND for a file or model that is not there, FORMAT_DISK_FULL …
   */
  async create(request: FineTuningJobRequest): Promise<FineTuningJob> {
    return this.engine.create(takeRequest(request)).job
  }

  /** newest first */
  list(): FineTuningJob[] {
    return this.engine.records.map((record) => record.job)
  }

  /** @throws SaqrError JOB_NOT_FOUND */
  retrieve(id: string): FineTuningJob {
    return this.engine.record(id).job
  }

  /** What was said of it so far, oldest first. @throws SaqrError JOB_NOT_FOUND */
  listEvents(id: string): FineTuningJobEvent[] {
    return [...this.engine.record(id).log.events]
  }

  /** The same from the first on, and what comes then, until the job has ended or the jobs are closed. @throws SaqrError JOB_NOT_FOUND; what the signal aborts with */
  async *events(id: string, options?: { signal?: AbortSignal }): AsyncGenerator<FineTuningJobEvent> {
    const { signal } = takeOptions(options, 'events', FOLLOW)
    const record = this.engine.record(id)
    for (let told = 0; ; ) {
      while (told < record.log.events.length) yield record.log.events[told++]!
      if (hasEnded(record.saved.job) || this.engine.closed) return
      await orAbort(record.log.next(), signal)
    }
  }

  /** The model at the ends of its last three epochs, newest first. @throws SaqrError JOB_NOT_FOUND */
  listCheckpoints(id: string): FineTuningJobCheckpoint[] {
    return this.engine.record(id).saved.checkpoints.toReversed()
  }

  /** Ends it; what it has trained so far is lost but for its checkpoints. @throws SaqrError JOB_NOT_FOUND, JOB_STATE for one that has ended */
  async cancel(id: string): Promise<FineTuningJob> {
    return this.engine.cancel(id).job
  }

  /** It saves where it is, and others go on in the queue. @throws SaqrError JOB_NOT_FOUND, JOB_STATE for one that has ended or is paused */
  async pause(id: string): Promise<FineTuningJob> {
    return this.engine.pause(id).job
  }

  /** Queues a paused job again; it becomes what it had become without the pause, to the bit. @throws SaqrError JOB_NOT_FOUND, JOB_STATE */
  async resume(id: string): Promise<FineTuningJob> {
    return this.engine.resume(id).job
  }

  /** The job when it has succeeded, failed or been cancelled. @throws SaqrError JOB_NOT_FOUND, JOB_CLOSED where the jobs are closed before; what the signal aborts with */
  async wait(id: string, options?: { signal?: AbortSignal }): Promise<FineTuningJob> {
    const { signal } = takeOptions(options, 'wait', FOLLOW)
    const record = this.engine.record(id)
    while (!hasEnded(record.saved.job)) {
      if (this.engine.closed) throw closed()
      await orAbort(record.log.next(), signal)
    }
    return record.job
  }

  /** Names of the models that jobs made. */
  models(): string[] {
    return [...this.engine.models().keys()]
  }

  /** The folder of such a model, which opens as any adapter does: `FastLanguageModel.fromPretrained(jobs.modelFolder(name))`. @throws SaqrError JOB_NOT_FOUND */
  modelFolder(name: string): string {
    const made = this.engine.models().get(name)
    if (made === undefined) throw noSuch('model', name)
    return made.folder
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_CLOSED, JOB_STATE while a job begins from it */
  deleteModel(name: string): void {
    this.engine.deleteModel(name)
  }

  /** Leaves the folder. A job that runs saves where it is, and goes on when the folder is opened again. */
  async close(): Promise<void> {
    await this.engine.close()
  }
}

async function orAbort(waiting: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return await waiting
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    await Promise.race([waiting, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
