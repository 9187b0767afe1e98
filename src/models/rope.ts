/**
 * Frequencies of the rotary embedding out of a config: `rope_theta` with `rope_scaling`, or transformers 5's `rope_parameters`.
 * Types: default (Su et al. 2021), linear (position interpolation), llama3 (Llama 3.1), yarn (Peng et al. 2023). Others are refused.
 */
import type { Config } from './config.ts'
import type { RopeTable } from './trace.ts'

type Scaling = Readonly<Record<string, unknown>>

export function ropeOf(c: Config, headDim: number, defaultTheta = 10000): RopeTable {
  const scaling = (c.json.rope_parameters ?? c.json.rope_scaling ?? {}) as Scaling
  const number = (key: string, fallback?: number): number => {
    const value = scaling[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value))
      c.fail(`rope_scaling.${key}`, `must be a number, not ${JSON.stringify(value)}`)
    return value
  }
  const theta = number('rope_theta', c.number('rope_theta', defaultTheta))
  const partial = scaling.partial_rotary_factor ?? c.json.partial_rotary_factor ?? 1
  if (partial !== 1) c.fail('partial_rotary_factor', `is ${JSON.stringify(partial)}: saqr's ${c.modelType} rotates whole heads only`)
  if (headDim % 2) c.fail('head_dim', `is ${headDim}: rotation needs an even one`)
  const type = scaling.rope_type ?? scaling.type ?? 'default'
  const make = typeof type === 'string' ? TYPES[type] : undefined
  if (!make) c.fail('rope_scaling.rope_type', `is ${JSON.stringify(type)}: saqr does ${Object.keys(TYPES).join(', ')}`)
  const plain = Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim))
  const original = () => number('original_max_position_embeddings', c.count('max_position_embeddings'))
  return { rotaryDim: headDim, interleaved: false, ...make({ plain, theta, headDim, number, original, scaling }) }
}

interface Given {
  plain: number[]
  theta: number
  headDim: number
  number: (key: string, fallback?: number) => number
  original: () => number
  scaling: Scaling
}
type Frequencies = Pick<RopeTable, 'invFreq' | 'attentionFactor'>

const TYPES: Readonly<Record<string, (g: Given) => Frequencies>> = {
  default: ({ plain }) => ({ invFreq: plain, attentionFactor: 1 }),

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
  yarn({ plain, theta, headDim, number, original, scaling }) {
    const factor = number('factor')
    const at = (turns: number) => (headDim * Math.log(original() / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
    const whole = scaling.truncate !== false
    const bound = (x: number, round: (x: number) => number) => (whole ? round(x) : x)
    const from = Math.max(bound(at(number('beta_fast', 32)), Math.floor), 0)
    const to = Math.min(bound(at(number('beta_slow', 1)), Math.ceil), headDim - 1)
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
