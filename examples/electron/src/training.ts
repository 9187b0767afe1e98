/** What the trainer does when it is asked. Nothing of Electron is in it. */
import { FastLanguageModel, type FineTuningJob, FineTuningJobs, type PretrainedModel } from 'saqr'
import type { Asked, Calls, Name, Told } from './messages.ts'

/** what can be trained over by name, the rows where none are chosen, and where jobs are kept */
export interface Places {
  model: string
  rows: string
  jobsDir: string
}
type Does = { [N in Name]: (given: Calls[N]['given']) => AsyncGenerator<Calls[N]['piece'], Calls[N]['result']> }

export class Training {
  readonly #places: Places
  readonly #jobs: Promise<FineTuningJobs>
  #open: { name: string; model: PretrainedModel } | undefined
  /** resolves when whoever asked before has the answer */
  #answered = Promise.resolve()

  /** Jobs that were under way when the app was closed go on. */
  constructor(places: Places) {
    this.#places = places
    this.#jobs = FineTuningJobs.open({ jobsDir: places.jobsDir, models: { base: places.model } })
    this.#jobs.catch(() => {}) // told to whoever asks
  }

  /** Hears a call to its end. */
  async hear({ id, call, ...given }: Asked, tell: (told: Told) => void): Promise<void> {
    try {
      const pieces = (this.#does[call] as (given: object) => AsyncGenerator<unknown, unknown>)(given)
      let next = await pieces.next()
      for (; !next.done; next = await pieces.next()) tell({ id, type: 'piece', piece: next.value })
      tell({ id, type: 'done', result: next.value })
    } catch (error) {
      tell({ id, type: 'failed', message: (error as Error).message })
    }
  }

  /** A job that runs saves where it is. */
  async close(): Promise<void> {
    await (await this.#jobs).close()
    await this.#open?.model.dispose()
  }

  readonly #does: Does = {
    train: async function* (this: Training, { rows }: { rows: string | null }) {
      const jobs = await this.#jobs
      const file = await jobs.createFile(rows ?? this.#places.rows)
      const hyperparameters = { n_epochs: 3, batch_size: 16, learning_rate_multiplier: 10 }
      const method = { type: 'supervised' as const, supervised: { hyperparameters } }
      const { id } = await jobs.create({ model: 'base', training_file: file.id, method })
      yield* jobs.events(id)
      return jobs.retrieve(id)
    }.bind(this),

    follow: async function* (this: Training) {
      const job = await this.#current()
      if (!job) return null
      const jobs = await this.#jobs
      yield* jobs.events(job.id)
      return jobs.retrieve(job.id)
    }.bind(this),

    // biome-ignore lint/correctness/useYield: it is told nothing before its end
    cancel: async function* (this: Training) {
      const job = await this.#current()
      if (job) await (await this.#jobs).cancel(job.id)
      return null
    }.bind(this),

    ask: async function* (this: Training, { model: name, prompt }: { model: string; prompt: string }) {
      const folder = (await this.#jobs).modelFolder(name)
      const before = this.#answered
      let done = () => {}
      this.#answered = new Promise((resolve) => (done = resolve))
      await before
      try {
        if (this.#open?.name !== name) {
          await this.#open?.model.dispose()
          this.#open = undefined
          const { model } = await FastLanguageModel.fromPretrained(folder)
          this.#open = { name, model }
        }
        yield* this.#open.model.generate(prompt, { maxNewTokens: 80, doSample: false })
      } finally {
        done()
      }
      return null
    }.bind(this),
  }

  async #current(): Promise<FineTuningJob | undefined> {
    return (await this.#jobs).list().find(({ finished_at }) => finished_at === null)
  }
}
