/** What the names of an adapter's options mean on a model: known from its config.json alone, so they are told before weights are fetched. */
import type { Adapter } from '../adapters/adapter.ts'
import { type AdapterSpec, chooseAdapter } from '../adapters/choose.ts'
import { isParameter, isSaved, matches } from '../adapters/match.ts'
import { settleOwn } from '../adapters/own-linears.ts'
import { settlePatterns } from '../adapters/patterns.ts'
import { settleTargets } from '../adapters/targets.ts'
import { TOKEN_ROWS } from '../adapters/token-rows.ts'
import { checkDropout } from '../adapters/whole-tensors.ts'
import { type Message, option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { isMeant } from '../formats/peft/scale.ts'
import type { TraceRecorder } from '../graph/trace.ts'
import { inspect } from '../graph/training.ts'
import { nearest } from '../hub/nearest.ts'
import type { Model } from '../models/family.ts'
import { adapterConfigOver, readAdapterOver } from './adapter-names.ts'
import { placesOf } from './adapter-tensors.ts'
import { parametersOf } from './settle.ts'

/** of a model that is open, or would be */
interface Opened {
  adapter: Adapter
  recorder: Pick<TraceRecorder, 'weights' | 'parameters'>
  opened: { model: Model }
}

/** @throws SaqrError OPTION_MODULES: a new adapter over this model has nothing to train, or a name means nothing */
export function checkBeforeWeights(spec: AdapterSpec, model: Model): void {
  if (spec.kind !== 'lora') return
  const over = overModel(spec, model)
  checkTargets(over.adapter, model, over.recorder)
  checkModules(over)
}

/**
 * An adapter that is there: what it trains over a base of this config.json, and whether its file has that.
 * @param base what errors call it
 * @param file is it here too?
 * @throws SaqrError OPTION_MODULES, and FORMAT_ADAPTER where its tensors are not those that its configuration means
 */
export function checkLoadable(folder: string, { model, base, file }: { model: Model; base: string; file: boolean }): void {
  const given = file ? readAdapterOver(folder, model) : null
  const config = given?.config ?? adapterConfigOver(folder, model)
  const { adapter, recorder } = overModel({ kind: 'lora', config }, model)
  checkTargets(adapter, model, recorder)
  if (!given) return
  const { head } = model
  // these may be of another size than config.json says, and one weight or two: files tell, the adapter's own among them
  const ends = [`${head.path}.`, ...[...parametersOf(model).values()].flatMap(({ role, name }) => (role === 'embedding' ? [name.replace(/weight$/, '')] : []))] // biome-ignore format: short
  const passOver = (name: string) => ends.some((path) => name.startsWith(path))
  const trained = recorder.parameters
  placesOf(given, folder, { model, path: base, config: adapter.config!, trained, passOver })
}

export function overModel(spec: AdapterSpec, model: Model): Opened {
  const { path, tiedTo } = model.head
  const adapter = chooseAdapter(settledSpec(spec, model), { nf4: false, head: path, tiedTo }, false)
  return { adapter, recorder: inspect(model, adapter, 'f32'), opened: { model } }
}

/** @throws SaqrError OPTION_MODULES */
export function checkTargets({ config }: Adapter, model: Model, recorder: Opened['recorder']): void {
  // rows of tokens alone are no adapter to PEFT
  if (config && ![...recorder.parameters.keys()].some((name) => !name.endsWith(TOKEN_ROWS))) throw noTarget(config, model, recorder)
}

/** What an adapter's targets and patterns mean on this model, as PEFT settles it. @throws SaqrError OPTION_MODULES */
export function settledSpec(spec: AdapterSpec, model: Model): AdapterSpec {
  if (spec.kind !== 'lora') return spec
  const tensors = () => [...parametersOf(model).values()]
  const own = settleOwn(spec.config, model, tensors)
  const config = model.experts || model.apart ? settleTargets(own, model, tensors()) : own
  return { kind: 'lora', config: settlePatterns(config, model, tensors) }
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
export function checkModules({ adapter, recorder, opened: { model } }: Opened): void {
  const { targetModules, targetParameters, excludeModules, modulesToSave, layersToTransform, ...patterns } = adapter.config!
  const names = [...recorder.weights.keys(), ...recorder.parameters.keys()].map(modulePath)
  const there = new Set([...names, ...parametersOf(model).keys()].map((name) => name.replace(/\.(weight|bias)$/, '')))
  const check = (given: string, list: readonly string[], means: (name: string, path: string) => boolean) => {
    const wrong = list.find((name) => ![...there].some((path) => means(name, path)))
    if (wrong === undefined) return
    const ends = new Set([...there].map((path) => path.split('.').at(-1)!))
    const close = nearest(wrong, ends)
    const hint = heldBy([wrong], model) ?? (close ? `did you mean ${close}?` : `it has ${[...ends].join(', ')}`)
    throw new SaqrError('OPTION_MODULES', say`${option(given)} names ${wrong}, which is no module of this ${model.family} model: ${hint}`)
  }
  if (typeof targetModules !== 'string') check('targetModules', targetModules, (name, path) => matches([name], path))
  checkParameters(targetParameters ?? [], model)
  checkDropout(adapter.config!, parametersOf(model).keys())
  if (typeof excludeModules !== 'string') check('excludeModules', excludeModules ?? [], (name, path) => matches([name], path))
  check('modulesToSave', modulesToSave ?? [], (name, path) => isSaved([name], path))
  const adapted = [...recorder.parameters.keys()].filter((name) => /\.lora_(embedding_)?A\b/.test(name)).map(modulePath)
  const parameters = [...parametersOf(model).keys()].filter((name) => isParameter({ targetParameters }, name))
  for (const given of ['rankPattern', 'alphaPattern'] as const) {
    const idle = Object.keys(patterns[given]).find((key) => ![...adapted, ...parameters].some((path) => isMeant(key, path, given)))
    if (idle !== undefined)
      throw new SaqrError(
        'OPTION_MODULES',
        say`${option(given)} names ${idle}, and no module that has an adapter is called so: leave it out, or add it to ${option('targetModules')}`,
      )
  }
  const { layers } = model
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
