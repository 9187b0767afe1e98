/** A model that can be trained, generate and be saved: an open checkpoint and what is trained over it. */
import type { Adapter } from '../adapters/adapter.ts'
import type { AdapterSpec } from '../adapters/choose.ts'
import { withoutInput } from '../adapters/whole-tensors.ts'
import type { Example } from '../data/example.ts'
import type { PromptForm } from '../data/prompt-form.ts'
import type { RunRecord } from '../data/run-record.ts'
import { option, SaqrError, say } from '../error.ts'
import type { StoredTensor } from '../formats/dense.ts'
import type { TokenizerFiles } from '../formats/tensor.ts'
import { layoutParameters } from '../graph/layout.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { checkTargets, settledSpec } from './adapter-modules.ts'
import type { OpenedModel } from './opened-model.ts'
import { parametersOf } from './settle.ts'
import { checkTokens } from './token-rows.ts'
import { Trainables } from './trainables.ts'
import { versionOf } from './weights-version.ts'

/** An optimizer step before it changes anything. */
export interface GradientsMade {
  /** from 1 */
  step: number
  /** its rows, and the micro-batch of each */
  examples: readonly Example[]
  batchOf: Int32Array
}

export class LanguageModel {
  readonly opened: OpenedModel
  readonly spec: AdapterSpec
  /** as it evaluates and generates */
  readonly adapter: Adapter
  /** everything the model holds: weights, parameters, constants */
  readonly recorder: TraceRecorder
  /** tensors of the adapter's file that are not trained (base weights kept along), by their names in it: saved again as they are */
  kept: readonly (readonly [string, StoredTensor])[] = []
  /** how the rows asked that it was trained on: saved along, and how it is asked */
  promptForm: PromptForm | null = null
  /** how it was trained: saved along */
  run: RunRecord | null = null
  /** the first rows (token ids) that it was trained on: what an export of it is asked */
  rows: readonly (readonly number[])[] | null = null
  /** saved beside it: the checkpoint's own, or what it was trained with */
  tokenizer: TokenizerFiles | undefined
  /** is told of each optimizer step when its gradients are there and nothing has changed yet */
  onGradients: ((step: GradientsMade) => void) | null = null
  /** the same without its adapter, where that was asked for: it goes with the adapter */
  withoutAdapter: LanguageModel | null = null
  readonly #trainables: Trainables | undefined
  #disposed = false

  /** @param seed of an adapter's first values */
  constructor(opened: OpenedModel, spec: AdapterSpec, seed: number) {
    this.opened = opened
    this.tokenizer = opened.checkpoint.tokenizer
    this.spec = spec = settledSpec(spec, opened.model)
    checkTokens(spec, opened.model)
    this.recorder = opened.inspect(spec)
    this.adapter = opened.adapter(spec, false)
    checkTargets(this.adapter, opened.model, this.recorder)
    opened.loadFor(this.recorder)
    if (this.recorder.parameters.size > 0) {
      const layout = layoutParameters(this.recorder.parameters.values(), opened.nextScope())
      this.#trainables = new Trainables(opened.device, layout, opened.checkpoint, seed)
    }
    opened.users.add(this)
  }

  /** what is trained, null where nothing is */
  get trained(): Trainables | null {
    this.alive()
    return this.#trainables ?? null
  }

  /** another number whenever trained weights have changed */
  get version(): number {
    return this.#trainables ? versionOf(this.#trainables.layout) : 0
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
    const { head } = this.opened.model
    const whole = config && withoutInput(config, parametersOf(this.opened.model).keys())
    if (whole) fail('lora_dropout', `${whole} gets a low-rank part as a whole, where PEFT has no dropout`)
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
    this.opened.alive()
  }

  /** frees what is trained; the base stays for other adapters over it */
  disposeAdapter(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.opened.users.delete(this)
    this.#trainables?.dispose()
    this.withoutAdapter?.disposeAdapter()
  }
}
