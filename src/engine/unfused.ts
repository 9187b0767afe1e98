/**
 * A trained adapter in the form of transformers 4: a low-rank part for each expert's linears (`mlp.experts.3.gate_proj.lora_A`), as vLLM and SGLang
 * read it, and PEFT too. Gate and up share what one tensor holds of both: each has its A, and of its B the rows that are its own.
 *
 * What serves adapters knows one rank and one scale. So every module is given the rank of gate and up, with zeros behind its own, and where scales
 * differ B takes the difference: s_m · B_m = s · (s_m / s · B_m).
 */
import { isParameter } from '../adapters/match.ts'
import { option, SaqrError, say } from '../error.ts'
import { bytesOf } from '../formats/numbers.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { PEFT_PREFIX } from '../formats/peft/read.ts'
import { loraScale } from '../formats/peft/scale.ts'
import type { TensorToWrite } from '../formats/safetensors/write.ts'
import { type ExpertStack, expertStacks } from './expert-adapters.ts'
import type { LanguageModel } from './language-model.ts'
import { parametersOf } from './settle.ts'
import type { Trainables } from './trainables.ts'

export interface Unfused {
  config: AdapterConfig
  /** of every trained tensor of the adapter */
  tensors: TensorToWrite[]
}

/** @throws SaqrError OPTION_INVALID where the adapter has no experts, some layers' alone, or all of one trained whole */
export function unfuse(model: LanguageModel): Unfused {
  const { trainables } = model
  const config = model.adapter.config!
  const stacks = checkUnfusable(model)
  const rank = Math.max(...stacks.map(({ b }) => b.cols), ...ranksOf(trainables))
  const scale = loraScale(config, stacks[0]!.name)
  const uniform: Uniform = { trainables, rank, factor: (key) => loraScale(config, key) / scale }
  const taken = new Set(stacks.flatMap(({ path }) => [`${path}.lora_A.weight`, `${path}.lora_B.weight`]))
  const routers = routersOf(model)
  const others = trainables.names.filter((name) => !taken.has(name))
  const tensors = [
    ...stacks.flatMap((stack) => expertTensors(stack, uniform)),
    ...others.map((name) => moduleTensor(name, config, routers, uniform)),
  ]
  return { config: unfusedConfig(config, stacks, { rank, alpha: scale * rank, routers }), tensors }
}

/** The trained stacks of experts of an adapter that can be written so. @throws SaqrError OPTION_INVALID */
export function checkUnfusable(model: LanguageModel): ExpertStack[] {
  const { config } = model.adapter
  const fail = (why: string): never => {
    throw new SaqrError('OPTION_INVALID', say`${option('unfuseExperts')} writes a low-rank part for each expert's linears, and ${why}`)
  }
  if (config === null) return fail('this model has no adapter: leave it out')
  const names = [...parametersOf(model.opened.model).keys()]
  const stacks = expertStacks(model.opened.model, names, config, (name) => model.trainables.layout.entries.get(name)?.spec)
  if (stacks.length === 0) return fail('the experts of this model have none: leave it out')
  const { family } = model.opened.model
  if (stacks.some(({ pieces }) => pieces.length === 0)) fail(`no file of a ${family} model has names for them: leave it out`)
  const trained = new Set(stacks.map(({ name }) => name))
  const kinds = new Set(stacks.map(({ name }) => kindOf(name)))
  const without = names.find((name) => kinds.has(kindOf(name)) && !trained.has(name))
  if (without) fail(`${without} has none: names of experts mean those of every layer`)
  const whole = model.trainables.names.find(
    (name) => names.includes(name) && model.trainables.layout.entries.get(name)!.spec.role === 'experts',
  )
  if (whole) fail(`${whole} is trained whole`)
  return stacks
}

const kindOf = (name: string) => name.replace(/^.*\.mlp\.experts\./, 'experts.')

interface Uniform {
  trainables: Trainables
  rank: number
  /** what B is multiplied with, of the module whose scale is looked up by this key */
  factor(key: string): number
}

/** of the low-rank parts that are no experts' */
function ranksOf({ names, layout }: Trainables): number[] {
  return names.flatMap((name) => {
    const { spec } = layout.entries.get(name)!
    return /\.(lora_B\.weight|lora_embedding_B)$/.test(name) && spec.experts === undefined ? [spec.cols] : []
  })
}

/** of linear p of expert e: A_e, and rows [p · out, (p + 1) · out) of B_e */
function expertTensors({ name, path, pieces, a, b, experts }: ExpertStack, { trainables, rank, factor }: Uniform): TensorToWrite[] {
  const own = b.cols
  const out = b.rows / pieces.length
  const perExpert = pieces.length / experts
  return pieces.flatMap((piece, i): TensorToWrite[] => {
    const module = PEFT_PREFIX + piece.replace(/\.weight$/, '')
    const rowsOfA = () => trainables.rows(`${path}.lora_A.weight`, Math.floor(i / perExpert) * own, own)
    const rowsOfB = () => trainables.rows(`${path}.lora_B.weight`, i * out, out)
    return [
      { name: `${module}.lora_A.weight`, dtype: 'F32', shape: [rank, a.cols], data: () => bytesOf(moreRows(rowsOfA(), a.cols, rank)) },
      {
        name: `${module}.lora_B.weight`,
        dtype: 'F32',
        shape: [out, rank],
        data: () => bytesOf(moreCols(rowsOfB(), own, rank, factor(name))),
      },
    ]
  })
}

function moduleTensor(name: string, config: AdapterConfig, routers: ReadonlyMap<string, string>, uniform: Uniform): TensorToWrite {
  const { trainables, rank, factor } = uniform
  const shape = trainables.fileShape(name)
  const [, path, part] = /^(.*)\.(lora_[AB]\.weight|lora_embedding_[AB])$/.exec(name) ?? []
  if (path === undefined) return { name: PEFT_PREFIX + name, dtype: 'F32', shape, data: () => trainables.fileChunks(name) }
  const [rows, cols] = shape as [number, number]
  const values = () => trainables.get(name)
  const as = `${PEFT_PREFIX}${routers.get(path) ?? path}.${part}`
  if (part!.includes('A')) return { name: as, dtype: 'F32', shape: [rank, cols], data: () => bytesOf(moreRows(values(), cols, rank)) }
  const key = isParameter(config, `${path}.weight`) ? `${path}.weight` : path
  return { name: as, dtype: 'F32', shape: [rows, rank], data: () => bytesOf(moreCols(values(), cols, rank, factor(key))) }
}

function moreRows(x: Float32Array, cols: number, rows: number): Float32Array {
  const y = new Float32Array(rows * cols)
  y.set(x)
  return y
}

function moreCols(x: Float32Array, from: number, to: number, factor: number): Float32Array {
  const rows = x.length / from
  const y = new Float32Array(rows * to)
  for (let i = 0; i < rows; i++) for (let j = 0; j < from; j++) y[i * to + j] = factor * x[i * from + j]!
  return y
}

/** paths of routers, and what files call them */
function routersOf({ opened: { model } }: LanguageModel): Map<string, string> {
  const pathOf = (tensor: string) => tensor.replace(/\.weight$/, '')
  const specs = [...parametersOf(model).values()].filter(({ role }) => role === 'router')
  return new Map(specs.map(({ name }) => [pathOf(name), pathOf(model.pieces?.(name)[0]?.[0] ?? name)]))
}

function unfusedConfig(
  config: AdapterConfig,
  stacks: readonly ExpertStack[],
  { rank, alpha, routers }: { rank: number; alpha: number; routers: ReadonlyMap<string, string> },
): AdapterConfig {
  const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)
  const linears = stacks.flatMap(({ pieces }) => pieces.map((piece) => last(piece.replace(/\.weight$/, ''))))
  const adapted = [...routers].filter(([path]) => isParameter(config, `${path}.weight`)).map(([, file]) => last(file))
  const modules = typeof config.targetModules === 'string' ? [] : config.targetModules
  const meant = (target: string) => (name: string) => name === target || name.endsWith(`.${target}`)
  const said = [...stacks.map(({ name }) => name), ...[...routers.keys()].map((path) => `${path}.weight`)]
  const parameters = (config.targetParameters ?? []).filter((target) => !said.some(meant(target)))
  return {
    ...config,
    r: rank,
    // alpha / r, whatever rounding made of it
    loraAlpha: Math.abs(alpha - Math.round(alpha)) < 1e-9 * alpha ? Math.round(alpha) : alpha,
    useRslora: false,
    rankPattern: {},
    alphaPattern: {},
    targetModules: [...new Set([...modules, ...linears, ...adapted])],
    targetParameters: parameters.length > 0 ? parameters : null,
  }
}
