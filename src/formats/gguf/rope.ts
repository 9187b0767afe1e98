/**
 * RoPE scaling of a GGUF model in the form of config.json. Llama 3's scaling is not in the metadata but in a tensor: what each
 * frequency is divided by. Its parameters are recovered from that and must give the same factors again.
 */
import { SaqrError } from '../../error.ts'
import { type JsonObject, show } from '../json.ts'
import type { Metadata } from './metadata.ts'

export function ropeScaling(meta: Metadata, architecture: string, factors: Float32Array | undefined, headDim: number): JsonObject {
  const key = (name: string) => `${architecture}.rope.${name}`
  const { type, factor, fail } = scalingType(meta, architecture)
  if (factors) {
    if (type !== 'none') throw fail(`it has both rope_freqs.weight and ${key('scaling.type')} ${type}`)
    const theta = meta.optionalNumber(key('freq_base')) ?? 10000
    const found = llama3Parameters(factors, theta, headDim)
    if (!found) throw fail('its rope_freqs.weight holds factors that Llama 3 scaling does not give')
    return { rope_scaling: found }
  }
  if (type === 'none') return {}
  if (type === 'linear') return { rope_scaling: { rope_type: 'linear', factor } }
  if (type !== 'yarn') throw fail(`it has the rope scaling ${show(type)}; linear, yarn and llama3 are supported`)
  if (meta.optionalNumber(key(LOG_MULTIPLIER))) throw fail(`it has ${key(LOG_MULTIPLIER)} ${meta.number(key(LOG_MULTIPLIER))}`)
  return { rope_scaling: yarn(meta, architecture) }
}

/**
 * Of DeepSeek: the file has a tenth of mscale_all_dim (llama.cpp's converter, PR 17945), which its mscale is alike in every published model
 * and in what llama.cpp computes.
 */
export function latentRopeScaling(meta: Metadata, architecture: string): JsonObject {
  const { type, fail } = scalingType(meta, architecture)
  if (type === 'none') return {}
  if (type !== 'yarn') throw fail(`it has the rope scaling ${show(type)}; yarn is supported`)
  const tenth = meta.optionalNumber(`${architecture}.rope.${LOG_MULTIPLIER}`)
  // as many digits as an f32 holds
  const all = tenth ? { mscale: Number((10 * tenth).toPrecision(6)), mscale_all_dim: Number((10 * tenth).toPrecision(6)) } : {}
  return { rope_scaling: { ...yarn(meta, architecture), ...all } }
}

const LOG_MULTIPLIER = 'scaling.yarn_log_multiplier'

/** As llama.cpp has it: a missing type is linear, a missing factor is read from its older name, a factor of 0 is not applied. */
function scalingType(meta: Metadata, architecture: string) {
  const key = (name: string) => `${architecture}.rope.${name}`
  const factor = meta.optionalNumber(key('scaling.factor')) ?? meta.optionalNumber(key('scale_linear')) ?? 0
  const stated = meta.optionalString(key('scaling.type')) ?? 'linear'
  const type = stated === 'linear' && (factor === 0 || factor === 1) ? 'none' : stated
  return { type, factor, fail: (what: string) => new SaqrError('FORMAT_GGUF_ARCHITECTURE', `${meta.path} can't be used: ${what}.`) }
}

function yarn(meta: Metadata, architecture: string): JsonObject {
  const key = (name: string) => `${architecture}.rope.${name}`
  const { factor, fail } = scalingType(meta, architecture)
  for (const name of ['scaling.attn_factor', 'scaling.yarn_attn_factor']) {
    const value = meta.optionalNumber(key(name))
    if (value !== undefined && value !== 1) throw fail(`it has ${key(name)} ${value}`)
  }
  const scaling: JsonObject = {
    rope_type: 'yarn',
    factor: factor || meta.number(key('scaling.factor')),
    original_max_position_embeddings: meta.count(key('scaling.original_context_length'), 1),
  }
  const fast = meta.optionalNumber(key('scaling.yarn_beta_fast'))
  const slow = meta.optionalNumber(key('scaling.yarn_beta_slow'))
  if (fast !== undefined) scaling.beta_fast = fast
  if (slow !== undefined) scaling.beta_slow = slow
  return scaling
}

interface Llama3 extends JsonObject {
  rope_type: 'llama3'
  factor: number
  low_freq_factor: number
  high_freq_factor: number
  original_max_position_embeddings: number
}

/** What each inverse frequency is divided by: 1 for short waves, `factor` for long ones, in between by interpolation. */
function llama3Factors(
  { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context }: Llama3,
  waves: number[],
): number[] {
  return waves.map((wave) => {
    if (wave < context / high) return 1
    if (wave > context / low) return factor
    const smooth = (context / wave - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}

/**
 * Between the bounds, smooth = (context / wave − low) / (high − low) is a straight line over 1 / wave: with low = 1, as in every
 * published model, slope and intercept give `high` and `context`. Fewer than two such waves leave the published values to try.
 */
function llama3Parameters(factors: Float32Array, theta: number, headDim: number): Llama3 | undefined {
  if (factors.length !== headDim / 2) return undefined
  const waves = Array.from(factors, (_, i) => 2 * Math.PI * theta ** ((2 * i) / headDim))
  const factor = Number(factors.at(-1)!.toPrecision(6))
  const candidates = [8192, 4096, 16384, 32768, 2048].map((context): [number, number] => [context, 4])
  const between = [...factors.keys()].filter((i) => factors[i]! > 1 && factors[i]! < factor * (1 - 1e-6))
  if (between.length >= 2) {
    const smooth = (i: number) => (1 / factors[i]! - 1 / factor) / (1 - 1 / factor)
    const [first, last] = [between[0]!, between.at(-1)!]
    const slope = (smooth(first) - smooth(last)) / (1 / waves[first]! - 1 / waves[last]!)
    const intercept = smooth(first) - slope / waves[first]!
    const high = 1 - 1 / intercept
    candidates.unshift([Math.round(slope * (high - 1)), Number(high.toPrecision(4))])
  }
  for (const [context, high] of candidates) {
    const scaling: Llama3 = {
      rope_type: 'llama3',
      factor,
      low_freq_factor: 1,
      high_freq_factor: high,
      original_max_position_embeddings: context,
    }
    const again = llama3Factors(scaling, waves)
    // factors are stored in f32, and the converter may have worked in f32 too
    if (again.every((value, i) => Math.abs(value - factors[i]!) <= 2e-5 * value)) return scaling
  }
  return undefined
}
