/**
 * Frequencies of the rotary embedding out of a config: `rope_theta` with `rope_scaling`, or transformers 5's `rope_parameters`.
 * Types: default (Su et al. 2021), linear (position interpolation), dynamic (as far as it is default), llama3 (Llama 3.1), yarn (Peng et al. 2023).
 * Others are refused.
 */
import type { Config } from './config.ts'

/** What angles are made of: angle(position, i) = position · invFreq[i]; cos and sin are multiplied by `attentionFactor`. */
export interface RopeTable {
  invFreq: readonly number[]
  attentionFactor: number
  /** true: pairs are (2i, 2i+1); false: (i, i + rotaryDim/2), as Hugging Face's checkpoints have it */
  interleaved: boolean
}

/** rope parameters as a config has them */
export type Scaling = Readonly<Record<string, unknown>>

/** The rotation of a model that has one for all layers. */
export function readRope(c: Config, headDim: number, defaultTheta = 10000): RopeTable {
  // one beside the rope parameters counts before the one in them
  const original = c.json.original_max_position_embeddings === undefined ? undefined : () => c.number('original_max_position_embeddings')
  return ropeOf(c, headDim, scalingOf(c), { at: 'rope_parameters', theta: () => c.number('rope_theta', defaultTheta), original })
}

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
export function ropeOf(c: Config, headDim: number, scaling: Scaling, { at, theta: otherwise, original: beside }: Beside): RopeTable {
  const number = (key: string, fallback?: number): number => {
    const value = scaling[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) c.fail(`${at}.${key}`, `must be a number, not ${JSON.stringify(value)}`)
    return value
  }
  const theta = 'rope_theta' in scaling ? number('rope_theta') : otherwise()
  if (!(theta > 0)) c.fail('rope_theta', `must be above 0, not ${theta}`)
  if (headDim % 2) c.fail('head_dim', `is ${headDim}: rotation needs an even one`)
  const type = 'rope_type' in scaling ? scaling.rope_type : (scaling.type ?? 'default')
  const make = typeof type === 'string' && Object.hasOwn(TYPES, type) ? TYPES[type] : undefined
  if (!make) c.fail(`${at}.rope_type`, `is ${JSON.stringify(type)}: saqr does ${Object.keys(TYPES).join(', ')}`)
  const partial = scaling.partial_rotary_factor ?? c.json.partial_rotary_factor ?? 1
  // transformers' own rotation of these families doesn't read it
  if (partial !== 1 && type !== 'default')
    c.fail('partial_rotary_factor', `is ${JSON.stringify(partial)}: saqr's ${c.modelType} rotates whole heads only`)
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim))
  const original = () => beside?.() ?? number('original_max_position_embeddings', c.count('max_position_embeddings'))
  const stretch = () => c.count('max_position_embeddings') / original()
  return { interleaved: false, ...make({ plain, theta, headDim, number, original, stretch, scaling }) }
}

/** `rope_scaling`, the older name, counts before `rope_parameters` unless it is empty (transformers' convert_rope_params_to_dict). */
function scalingOf(c: Config): Scaling {
  const given = (key: string): Scaling | undefined => {
    const value = c.object(key)
    if (value === undefined) return undefined
    const nested = Object.entries(value).find(([, v]) => typeof v === 'object' && v !== null && !Array.isArray(v))
    if (nested) c.fail(key, `has parameters of their own for ${nested[0]}, which saqr's ${c.modelType} doesn't do`)
    return Object.keys(value).length > 0 ? value : undefined
  }
  return given('rope_scaling') ?? given('rope_parameters') ?? {}
}

interface Given {
  plain: number[]
  theta: number
  headDim: number
  number: (key: string, fallback?: number) => number
  original: () => number
  /** positions the model is used with over those it was trained with */
  stretch: () => number
  scaling: Scaling
}
type Frequencies = Pick<RopeTable, 'invFreq' | 'attentionFactor'>

const TYPES: Readonly<Record<string, (g: Given) => Frequencies>> = {
  default: ({ plain }) => ({ invFreq: plain, attentionFactor: 1 }),

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
    const mscale = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1)
    const bothGiven = scaling.mscale && scaling.mscale_all_dim
    const inferred = bothGiven ? mscale(number('mscale')) / mscale(number('mscale_all_dim')) : mscale(1)
    return { invFreq, attentionFactor: number('attention_factor', inferred) }
  },
}
