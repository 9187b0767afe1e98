/** A model that can be trained, generate and be saved: an open checkpoint and what is trained over it. */
import type { Adapter } from '../adapters/adapter.ts'
import type { AdapterSpec } from '../adapters/choose.ts'
import { isSaved, matches } from '../adapters/match.ts'
import { settleTargets } from '../adapters/targets.ts'
import { TOKEN_ROWS } from '../adapters/token-rows.ts'
import type { Example } from '../data/example.ts'
import type { PromptForm } from '../data/prompt-form.ts'
import type { RunRecord } from '../data/run-record.ts'
import { type Message, option, SaqrError, say } from '../error.ts'
import type { StoredTensor } from '../formats/dense.ts'
import { type AdapterConfig, loraConfig } from '../formats/peft/config.ts'
import { isMeant } from '../formats/peft/scale.ts'
import type { TokenizerFiles } from '../formats/tensor.ts'
import { layoutParameters } from '../graph/layout.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { nearest } from '../hub/nearest.ts'
import type { Model } from '../models/family.ts'
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
    // rows of tokens alone are no adapter to PEFT
    const adapted = [...this.recorder.parameters.keys()].some((name) => !name.endsWith(TOKEN_ROWS))
    if (this.adapter.config && !adapted) throw noTarget(this.adapter.config, opened.model, this.recorder)
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

/** What an adapter's targets mean on this model, as PEFT settles it. @throws SaqrError OPTION_MODULES */
export function settledSpec(spec: AdapterSpec, model: Model): AdapterSpec {
  if (spec.kind !== 'lora' || !model.experts) return spec
  return { kind: 'lora', config: settleTargets(spec.config, model, [...parametersOf(model).values()]) }
}

/** Options of an adapter in the words that one over this model is kept in: what is not given stays so. */
export function asSettled(given: Readonly<Record<string, unknown>>, model: Model): Record<string, unknown> {
  if (!model.experts || (given.targetModules === undefined && given.targetParameters === undefined)) return { ...given }
  const spec = settledSpec({ kind: 'lora', config: loraConfig({ targetModules: [], ...given }) }, model)
  const { targetModules, targetParameters } = (spec as { config: AdapterConfig }).config
  return { ...given, targetModules, targetParameters }
}

/** A new adapter, with what stands beside the text model named as excluded: names of modules mean those of a vision tower too where PEFT reads them. */
export function newAdapter(config: AdapterConfig, { composite }: Model): AdapterSpec {
  if (!composite || config.excludeModules?.length) return { kind: 'lora', config }
  const paths = composite.beside.map((path) => path.replaceAll('.', String.raw`\.`)).join('|')
  return { kind: 'lora', config: { ...config, excludeModules: String.raw`(${paths})\..*` } }
}

/**
 * Every name of a new adapter's modules must mean one, every pattern a module that is adapted, every number a block: PEFT passes over those
 * that mean none beside others that do.
 * @throws SaqrError OPTION_MODULES naming the first that doesn't
 */
export function checkModules({ adapter, recorder, opened }: LanguageModel): void {
  const { targetModules, targetParameters, excludeModules, modulesToSave, layersToTransform, ...patterns } = adapter.config!
  const names = [...recorder.weights.keys(), ...recorder.parameters.keys()].map(modulePath)
  const there = new Set([...names, ...parametersOf(opened.model).keys()].map((name) => name.replace(/\.(weight|bias)$/, '')))
  const check = (given: string, list: readonly string[], means: (name: string, path: string) => boolean) => {
    const wrong = list.find((name) => ![...there].some((path) => means(name, path)))
    if (wrong === undefined) return
    const ends = new Set([...there].map((path) => path.split('.').at(-1)!))
    const close = nearest(wrong, ends)
    const hint = heldBy([wrong], opened.model) ?? (close ? `did you mean ${close}?` : `it has ${[...ends].join(', ')}`)
    throw new SaqrError(
      'OPTION_MODULES',
      say`${option(given)} names ${wrong}, which is no module of this ${opened.model.family} model: ${hint}`,
    )
  }
  if (typeof targetModules !== 'string') check('targetModules', targetModules, (name, path) => matches([name], path))
  checkParameters(targetParameters ?? [], opened.model)
  if (typeof excludeModules !== 'string') check('excludeModules', excludeModules ?? [], (name, path) => matches([name], path))
  check('modulesToSave', modulesToSave ?? [], (name, path) => isSaved([name], path))
  const adapted = [...recorder.parameters.keys()].filter((name) => /\.lora_(embedding_)?A\b/.test(name)).map(modulePath)
  const parameters = [...parametersOf(opened.model).keys()].filter((name) => targetParameters?.some((t) => name.endsWith(`.${t}`)))
  for (const given of ['rankPattern', 'alphaPattern'] as const) {
    const idle = Object.keys(patterns[given]).find((key) => ![...adapted, ...parameters].some((path) => isMeant(key, path, given)))
    if (idle !== undefined)
      throw new SaqrError(
        'OPTION_MODULES',
        say`${option(given)} names ${idle}, and no module that has an adapter is called so: leave it out, or add it to ${option('targetModules')}`,
      )
  }
  const { layers } = opened.model
  const beyond = [layersToTransform ?? []].flat().find((block) => block >= layers)
  if (beyond !== undefined)
    throw new SaqrError(
      'OPTION_MODULES',
      say`${option('layersToTransform')} names block ${beyond}; this model has ${layers}, from 0 to ${layers - 1}`,
    )
}

/** @throws SaqrError OPTION_MODULES for a name that is no tensor's, with the nearest */
function checkParameters(targets: readonly string[], model: Model): void {
  const names = [...parametersOf(model).keys()]
  const wrong = targets.find((target) => !names.some((name) => name === target || name.endsWith(`.${target}`)))
  if (wrong === undefined) return
  const ends = [...new Set(names.flatMap((name) => [name.split('.').slice(-2).join('.'), name.split('.').at(-1)!]))]
  const close = nearest(wrong, ends)
  const tensors = [...new Set(names.filter((name) => /\.\d+\./.test(name)).map((name) => name.split('.').slice(-2).join('.')))]
  throw new SaqrError(
    'OPTION_MODULES',
    say`${option('targetParameters')} names ${wrong}, which is no tensor of this ${model.family} model: ${close ? `did you mean ${close}?` : `it has ${tensors.join(', ')}`}`,
  )
}

/** of an adapter's tensor: the module it belongs to */
const modulePath = (name: string) => name.replace(/\.lora_(A|B|embedding_A|embedding_B)(\.weight)?$/, '')

/** names that this model has no linear of their own for */
function heldBy(names: readonly string[], model: Model): Message | string | undefined {
  const { within = {} } = model
  const stacks = [...parametersOf(model).values()].filter(({ role }) => role === 'experts').map(({ name }) => name.split('.').at(-1)!)
  const matrices = [...new Set(stacks.filter((name) => !name.endsWith('_bias')))]
  // the tensor, the module that has it, or a linear of one expert as other files have them
  const ofExperts = ['experts', ...matrices].map((name) => new RegExp(`(^|\\.)${name}(s\\.\\d+)?$`))
  if (matrices.length > 0 && names.some((name) => ofExperts.some((pattern) => pattern.test(name))))
    return say`all experts of a layer lie in tensors, which ${option('targetParameters')} names: ${matrices.map((name) => `experts.${name}`).join(', ')}`
  const held = names.flatMap((name) => {
    const last = name.split('.').at(-1)!
    return Object.hasOwn(within, last) ? [`${last} is a part of ${within[last]}`] : []
  })
  return held.length ? `here ${held.join(', ')}` : undefined
}

/** What an adapter is told whose targets match nothing: it would train nothing. */
export function noTarget(
  { targetModules: targets, targetParameters }: AdapterConfig,
  model: Model,
  recorder: Pick<TraceRecorder, 'weights'>,
): SaqrError {
  checkParameters(targetParameters ?? [], model)
  // matrices of the blocks
  const linears = [...recorder.weights.values()].filter(({ name, rows }) => rows > 1 && /\.\d+\./.test(name))
  const modules = [...new Set(linears.map(({ name }) => name.split('.').at(-2)!))]
  const close = typeof targets === 'string' ? undefined : targets.map((target) => nearest(target, modules)).find((name) => name)
  const all = `it has ${modules.join(', ')}; all-linear means every one`
  const held = typeof targets === 'string' ? undefined : heldBy(targets, model)
  const hint = held ? say`${held}; ${all}` : close ? `did you mean ${close}?` : all
  return new SaqrError(
    'OPTION_MODULES',
    say`${option('targetModules')} ${JSON.stringify(targets)} match no module of this ${model.family} model: ${hint}`,
  )
}
