/** Models that jobs made, over the base that is served: each is loaded when it is first asked, and stays while there is no need of its place. */
import type { OpenedModel } from '../engine/opened-model.ts'
import type { JobEngine } from '../jobs/engine.ts'
import type { Made } from '../jobs/made.ts'
import { ApiError } from './api-error.ts'
import type { Served, ServedModel } from './models.ts'
import type { Scheduler } from './scheduler.ts'

/** loaded at once; each has its share of the memory for keys and values */
export const LOADED = 3
interface Loaded {
  model: ServedModel
  /** when it was last asked for */
  at: number
  /** who has got it, and comes to ask it before anything else happens */
  coming: number
}

type Open = (name: string, folder: string) => Served

export class FineTuned {
  readonly #jobs: JobEngine
  readonly #opened: OpenedModel
  readonly #scheduler: Scheduler
  readonly #firsts: ReadonlySet<string>
  readonly #open: Open
  readonly #prepare: (served: Served) => ServedModel
  readonly #loaded = new Map<string, Loaded>()
  readonly #loading = new Map<string, Promise<Loaded>>()

  /**
   * @param firsts what can be trained over here: models of jobs that began with something else are not over this base
   * @param open loads an adapter's folder
   */
  constructor(
    jobs: JobEngine,
    opened: OpenedModel,
    scheduler: Scheduler,
    firsts: Iterable<string>,
    open: Open,
    prepare: (served: Served) => ServedModel,
  ) {
    this.#jobs = jobs
    this.#opened = opened
    this.#scheduler = scheduler
    this.#firsts = new Set(firsts)
    this.#open = open
    this.#prepare = prepare
  }

  get names(): ReadonlyMap<string, Made> {
    return new Map([...this.#jobs.models()].filter(([, { first }]) => this.#firsts.has(first)))
  }

  /** Undefined: there is none of this name. @throws ApiError 503 while others take all places; SaqrError FORMAT_… */
  async get(name: string): Promise<ServedModel | undefined> {
    const made = this.names.get(name)
    if (made === undefined) return undefined
    const there = this.#loaded.get(name)
    if (there) return held(there)
    const loading = this.#loading.get(name) ?? this.#load(name, made).finally(() => this.#loading.delete(name))
    this.#loading.set(name, loading)
    return held(await loading)
  }

  /** @throws SaqrError JOB_NOT_FOUND, JOB_STATE while a job begins from it */
  delete(name: string): void {
    this.#jobs.deleteModel(name)
    // answers under way end as they would have; its place is free then
    const there = this.#loaded.get(name)
    if (there) there.at = Number.NEGATIVE_INFINITY
  }

  async #load(name: string, { folder }: Made): Promise<Loaded> {
    const loaded = await this.#opened.device.turn(async () => {
      this.#makeRoom()
      const model = this.#prepare(this.#open(name, folder))
      this.#scheduler.add(model.language)
      const loaded = { model, at: performance.now(), coming: 1 }
      this.#loaded.set(name, loaded)
      return loaded
    })
    setImmediate(() => loaded.coming--)
    return loaded
  }

  /** The one that was asked the longest ago goes, of those that nobody asks now. @throws ApiError 503 */
  #makeRoom(): void {
    while (this.#loaded.size >= LOADED) {
      const idle = [...this.#loaded].filter(([, { model, coming }]) => coming === 0 && !this.#scheduler.isBusy(model.language))
      const [oldest] = idle.sort(([, a], [, b]) => a.at - b.at)
      if (!oldest)
        throw new ApiError({
          status: 503,
          code: 'overloaded',
          message: `${LOADED} fine-tuned models are being asked already: ask again later`,
          headers: { 'retry-after': '1' },
        })
      const [gone, { model }] = oldest
      this.#scheduler.remove(model.language)
      model.language.disposeAdapter()
      this.#loaded.delete(gone)
    }
  }
}

function held(loaded: Loaded): ServedModel {
  loaded.at = performance.now()
  loaded.coming++
  setImmediate(() => loaded.coming--)
  return loaded.model
}
