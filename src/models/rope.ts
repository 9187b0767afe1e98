/**
 * Frequencies of the rotary embedding out of a config: `rope_theta` with `rope_scaling`, or transformers 5's `rope_parameters`.
 * Types: default (Su et al. 2021), linear (position interpolation), dynamic (as far as it is default), llama3 (Llama 3.1), yarn (Peng et al. 2023);
 * longrope (Ding et al. 2024) where a family takes it. Others are refused.
 */
import type { Config } from './config.ts'

/** What angles are made of: angle(position, i) = position · invFreq[i]; cos and sin are multiplied by `attentionFactor`. */
export interface RopeTable {
  invFreq: readonly number[]
  attentionFactor: number
  /** true: pairs are (2i, 2i+1); false: (i, i + rotaryDim/2), as Hugging Face's checkpoints have it */
  interleaved: boolean
  /** frequencies of rows computed as long ones, which are those of a micro-batch whose longest row has more positions than `beyond` */
  long?: { invFreq: readonly number[]; beyond: number }
}

/** rope parameters as a config has them */
export type Scaling = Readonly<Record<string, unknown>>

export interface RopeOptions {
  /** default of rope_theta: 10000 */
  theta?: number
  /** what a file that says nothing means; default: no scaling */
  otherwise?: Scaling
  /** the types that the family's configuration class takes, by name; default: what all take */
  types?: Readonly<Record<string, RopeType>>
  /** true: its rotation reads partial_rotary_factor, whatever the type */
  partial?: boolean
}

/** The rotation of a model that has one for all layers. */
export function readRope(c: Config, headDim: number, options: RopeOptions = {}): RopeTable {
  // one beside the rope parameters, and a class's default for it, counts before the one in them
  const original = c.has('original_max_position_embeddings') ? () => c.number('original_max_position_embeddings') : undefined
  const beside = { at: 'rope_parameters', theta: () => c.number('rope_theta', options.theta ?? 10000), original }
  return ropeOf(c, headDim, scalingOf(c, options.otherwise), beside, options)
}

/** where files say what a rotation's parameters come to */
const SPELLINGS = ['rope_parameters', 'rope_scaling', 'rope_theta', 'rope_local_base_freq', 'partial_rotary_factor']

/** What stands beside rope parameters, and where they stand. */
interface Beside {
  /** key of the config, for who reads an error */
  at: string
  /** where the parameters have no rope_theta */
  theta(): number
  /** counts before the parameters' own original_max_position_embeddings */
  original?(): number
}

/** The rotation that one set of rope parameters means. */
export function ropeOf(
  c: Config,
  headDim: number,
  scaling: Scaling,
  where: Beside,
  options: Omit<RopeOptions, 'theta' | 'otherwise'> = {},
): RopeTable {
  const { at, theta: otherwise, original: beside } = where
  const { types = TYPES } = options
  const number = (key: string, fallback?: number): number => {
    const value = scaling[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) c.fail(`${at}.${key}`, `must be a number, not ${JSON.stringify(value)}`)
    return value
  }
  const theta = 'rope_theta' in scaling ? number('rope_theta') : otherwise()
  if (!(theta > 0)) c.fail('rope_theta', `must be above 0, not ${theta}`)
  if (headDim % 2) c.fail('head_dim', `is ${headDim}: rotation needs an even one`)
  const type = typeOf(scaling)
  const make = typeof type === 'string' && Object.hasOwn(types, type) ? types[type] : undefined
  if (!make) c.fail(`${at}.rope_type`, `is ${JSON.stringify(type)}: saqr does ${Object.keys(types).join(', ')}`)
  const partial = scaling.partial_rotary_factor ?? c.json.partial_rotary_factor ?? 1
  // the other families' own rotation in transformers doesn't read it
  if (!options.partial && partial !== 1 && type !== 'default')
    c.fail('partial_rotary_factor', `is ${JSON.stringify(partial)}: saqr's ${c.modelType} rotates whole heads only`)
  const rotated = options.partial ? rotatedChannels(c, headDim, partial) : headDim
  const plain = Array.from({ length: rotated / 2 }, (_, i) => theta ** ((-2 * i) / rotated))
  const original = () => beside?.() ?? number('original_max_position_embeddings', c.count('max_position_embeddings'))
  const stretch = () => c.count('max_position_embeddings') / original()
  const list = (key: string): number[] => {
    const value = scaling[key]
    const whole =
      Array.isArray(value) && value.length === plain.length && value.every((x) => typeof x === 'number' && x > 0 && x < Infinity)
    if (!whole) c.fail(`${at}.${key}`, `must be a list of ${plain.length} numbers above 0, one for each pair of channels that turns`)
    return value as number[]
  }
  const { type: _, ...rest } = scaling
  c.means(at, { ...rest, rope_type: type, rope_theta: theta, ...(partial === 1 ? {} : { partial_rotary_factor: partial }) }, SPELLINGS)
  return { interleaved: false, ...make({ plain, theta, headDim, number, list, original, stretch, scaling }) }
}

/** int(head_dim · partial_rotary_factor), of the first channels of a head */
function rotatedChannels(c: Config, headDim: number, partial: unknown): number {
  const rotated = typeof partial === 'number' ? Math.trunc(headDim * partial) : Number.NaN
  if (rotated >= 2 && rotated <= headDim && rotated % 2 === 0) return rotated
  return c.fail('partial_rotary_factor', `is ${JSON.stringify(partial)}, which doesn't rotate an even part of heads of ${headDim} channels`)
}

/**
 * What DeepSeek's attention makes of its scale under a rotation that is scaled: times mscale² where the parameters have mscale_all_dim, whatever
 * the rotation's type (yarn_apply_mscale of transformers).
 */
export function scaleOfScaled(c: Config, scale: number): number {
  const scaling = scalingOf(c)
  const { factor, mscale_all_dim: all } = scaling
  if (typeOf(scaling) === 'default' || !all) return scale
  const wrong = [
    ['factor', factor],
    ['mscale_all_dim', all],
  ].find(([, x]) => typeof x !== 'number' || !Number.isFinite(x))
  if (wrong) c.fail(`rope_parameters.${wrong[0]}`, `must be a number where mscale_all_dim is given, not ${JSON.stringify(wrong[1])}`)
  return scale * mscaleOf(factor as number, all as number) ** 2
}

/** of YaRN: what attention grows by over a context stretched by `factor` */
const mscaleOf = (factor: number, m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1)

export const typeOf = (scaling: Scaling) => ('rope_type' in scaling ? scaling.rope_type : (scaling.type ?? 'default'))

/** `rope_scaling`, the older name, counts before `rope_parameters` unless it is empty (transformers' convert_rope_params_to_dict). */
export function scalingOf(c: Config, otherwise: Scaling = {}): Scaling {
  const given = (key: string): Scaling | undefined => {
    const value = c.object(key)
    if (value === undefined) return undefined
    const nested = Object.entries(value).find(([, v]) => typeof v === 'object' && v !== null && !Array.isArray(v))
    if (nested) c.fail(key, `has parameters of their own for ${nested[0]}, which saqr's ${c.modelType} doesn't do`)
    return Object.keys(value).length > 0 ? value : undefined
  }
  return given('rope_scaling') ?? given('rope_parameters') ?? (c.json.rope_parameters == null ? otherwise : {})
}

interface Given {
  plain: number[]
  theta: number
  headDim: number
  number: (key: string, fallback?: number) => number
  /** as many numbers as there are frequencies */
  list: (key: string) => number[]
  original: () => number
  /** positions the model is used with over those it was trained with */
  stretch: () => number
  scaling: Scaling
}
export type RopeType = (g: Given) => Omit<RopeTable, 'interleaved'>

export const plainRope: RopeType = ({ plain }) => ({ invFreq: plain, attentionFactor: 1 })

/** frequencies divided by a factor each: short_factor, or long_factor where a row is longer than the trained context */
export const longRope: RopeType = ({ plain, number, list, original, stretch, scaling }) => {
  const beyond = original()
  const factor = scaling.factor == null ? stretch() : number('factor')
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(beyond))
  const by = (factors: number[]) => plain.map((f, i) => f / factors[i]!)
  return {
    invFreq: by(list('short_factor')),
    attentionFactor: number('attention_factor', inferred),
    long: { invFreq: by(list('long_factor')), beyond },
  }
}

const TYPES: Readonly<Record<string, RopeType>> = {
  default: plainRope,

  /** NTK scaling grows only beyond max_position_embeddings, where no row goes */
  dynamic({ plain, number }) {
    number('factor')
    return { invFreq: plain, attentionFactor: 1 }
  },

  linear: ({ plain, number }) => ({ invFreq: plain.map((f) => f / number('factor')), attentionFactor: 1 }),

  /** long wavelengths are slowed by `factor`, short ones kept, those between blended */
  llama3({ plain, number, original }) {
    const factor = number('factor')
    const low = number('low_freq_factor')
    const high = number('high_freq_factor')
    const invFreq = plain.map((f) => {
      const turns = (original() * f) / (2 * Math.PI)
      if (turns < low) return f / factor
      if (turns > high) return f
      const smooth = (turns - low) / (high - low)
      return ((1 - smooth) * f) / factor + smooth * f
    })
    return { invFreq, attentionFactor: 1 }
  },

  /** channels that turn less than beta_slow times over the trained context are interpolated, more than beta_fast kept, a ramp between */
  yarn({ plain, theta, headDim, number, original, stretch, scaling }) {
    const factor = scaling.factor === null ? stretch() : number('factor')
    const at = (turns: number) => (headDim * Math.log(original() / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
    const whole = Boolean(scaling.truncate ?? !('truncate' in scaling))
    const bound = (x: number, round: (x: number) => number) => (whole ? round(x) : x)
    const from = Math.max(bound(at(number('beta_fast', 32) || 32), Math.floor), 0)
    const to = Math.min(bound(at(number('beta_slow', 1) || 1), Math.ceil), headDim - 1)
    const invFreq = plain.map((f, i) => {
      const ramp = Math.min(1, Math.max(0, (i - from) / (to === from ? 0.001 : to - from)))
      return (f / factor) * ramp + f * (1 - ramp)
    })
    const bothGiven = scaling.mscale && scaling.mscale_all_dim
    const inferred = bothGiven ? mscaleOf(factor, number('mscale')) / mscaleOf(factor, number('mscale_all_dim')) : mscaleOf(factor, 1)
    return { invFreq, attentionFactor: number('attention_factor', inferred) }
  },
}
