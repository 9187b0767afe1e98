/** A model that can be trained, generate and be saved: an open checkpoint and what is trained over it. */
import type { Adapter } from '../adapters/adapter.ts'
import type { AdapterSpec } from '../adapters/choose.ts'
import { SaqrError } from '../error.ts'
import { layoutParameters } from '../graph/layout.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { nearest } from '../hub/nearest.ts'
import type { OpenModel } from './open-model.ts'
import { Trainables } from './trainables.ts'

export class LanguageModel {
  readonly open: OpenModel
  readonly spec: AdapterSpec
  /** as it evaluates and generates */
  readonly adapter: Adapter
  /** everything the model holds: weights, parameters, constants */
  readonly recorder: TraceRecorder
  readonly #trainables: Trainables | undefined
  #disposed = false

  /** @param seed of an adapter's first values */
  constructor(open: OpenModel, spec: AdapterSpec, seed: number) {
    this.open = open
    this.spec = spec
    this.recorder = open.inspect(spec)
    this.adapter = open.adapter(spec, false)
    if (this.adapter.config && this.recorder.parameters.size === 0) throw noTarget(this.adapter.config.targetModules, this)
    open.loadFor(this.recorder)
    if (this.recorder.parameters.size === 0) return
    const layout = layoutParameters(this.recorder.parameters.values(), open.nextScope())
    this.#trainables = new Trainables(open.device, layout, open.checkpoint, seed)
  }

  /** what is trained, null where nothing is */
  get trained(): Trainables | null {
    this.alive()
    return this.#trainables ?? null
  }

  /** @throws SaqrError MODEL_FROZEN where nothing is trained */
  get trainables(): Trainables {
    if (this.trained) return this.trained
    throw new SaqrError('MODEL_FROZEN', 'nothing of this model is trained: add an adapter (getPeftModel) or open it with fullFinetuning')
  }

  /** weights of the base, and of them and the adapter those that are trained */
  count(): { all: number; trained: number } {
    const sum = (specs: Iterable<{ rows: number; cols: number }>) => [...specs].reduce((n, { rows, cols }) => n + rows * cols, 0)
    const trained = sum(this.recorder.parameters.values())
    return { all: sum(this.recorder.weights.values()) + trained, trained }
  }

  /** @throws SaqrError MODEL_DISPOSED */
  alive(): void {
    if (this.#disposed) throw new SaqrError('MODEL_DISPOSED', 'this model was disposed of: open it again')
    this.open.alive()
  }

  /** frees what is trained; the base stays for other adapters over it */
  disposeAdapter(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#trainables?.dispose()
  }
}

function noTarget(targets: readonly string[] | string, { open, recorder }: LanguageModel): SaqrError {
  // matrices of the blocks
  const linears = [...recorder.weights.values()].filter(({ name, rows }) => rows > 1 && /\.\d+\./.test(name))
  const modules = [...new Set(linears.map(({ name }) => name.split('.').at(-2)!))]
  const close = typeof targets === 'string' ? undefined : targets.map((target) => nearest(target, modules)).find((name) => name)
  const hint = close ? `did you mean ${close}?` : `it has ${modules.join(', ')}; all-linear means every one`
  return new SaqrError(
    'OPTION_MODULES',
    `target_modules ${JSON.stringify(targets)} match no module of this ${open.model.family} model: ${hint}`,
  )
}
