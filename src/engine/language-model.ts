/** A model that can be trained, generate and be saved: an open checkpoint and what is trained over it. */
import type { Adapter } from '../adapters/adapter.ts'
import type { AdapterSpec } from '../adapters/choose.ts'
import type { PromptForm } from '../data/prompt-form.ts'
import { option, SaqrError, say } from '../error.ts'
import type { StoredTensor } from '../formats/dense.ts'
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
  /** tensors of the adapter's file that are not trained (base weights kept along), by their names in it: saved again as they are */
  kept: readonly (readonly [string, StoredTensor])[] = []
  /** how the rows asked that it was trained on: saved along, and how it is asked */
  promptForm: PromptForm | null = null
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
    throw new SaqrError(
      'MODEL_FROZEN',
      say`nothing of this model is trained: add an adapter (getPeftModel) or open it with ${option('fullFinetuning')}`,
    )
  }

  /** @throws SaqrError MODEL_FROZEN where nothing is trained, MODEL_UNTRAINABLE for an adapter that can be used and merged but not trained on */
  checkTrainable(): void {
    this.trainables
    const { config } = this.adapter
    const fail = (option: string, what: string) => {
      throw new SaqrError(
        'MODEL_UNTRAINABLE',
        `${option} of this adapter: ${what}. It can be used and merged; to train on, merge it and begin an adapter over the result`,
      )
    }
    if (config?.trainableTokenIndices) fail('trainable_token_indices', 'single rows of the embedding are not trained here')
    const { head } = this.open.model
    if (config?.ensureWeightTying && head.tiedTo && this.recorder.parameters.has(`${head.path}.lora_A.weight`))
      fail('ensure_weight_tying', 'one low-rank part that both embedding and head have is not trained here')
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
    say`${option('targetModules')} ${JSON.stringify(targets)} match no module of this ${open.model.family} model: ${hint}`,
  )
}
