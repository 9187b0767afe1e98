/** What a GGUF file says of a model beside its tensors, out of its config.json: the way back from what a family's layout reads. */
import type { GgufLayout } from '../formats/gguf/layout.ts'
import { KEYS } from '../formats/gguf/model.ts'
import { type Entries, type Entry, f32, text, u32 } from '../formats/gguf/write.ts'
import type { Config } from './config.ts'
import { readRope, type Scaling, scalingOf, typeOf } from './rope.ts'
import { readHeads } from './self-attention.ts'

export interface Described {
  /** by their names below the architecture's */
  keys: Entries
  /** tables of the rotation, by their tensors' names */
  factors?: Readonly<Record<string, readonly number[]>>
}

/** A family's place in GGUF files, both ways. */
export interface FamilyGguf extends GgufLayout {
  describe(c: Config): Described
  /** rows of a head's keys and values in the linear that is kept by heads */
  headRows?(c: Config): readonly [keys: number, values: number]
}

export interface DescribeOptions {
  /** of a head where the file has none */
  headDim?: number
  /** default of rope_theta */
  theta?: number
  /** what a file that says nothing of scaling means */
  otherwise?: Scaling
}

/** What all have: sizes, heads, rotation. */
export function describeDecoder(c: Config, o: DescribeOptions = {}): Described {
  const { heads, kvHeads, headDim } = readHeads(c, o.headDim)
  const rope = describeRope(c, headDim, o)
  return {
    keys: {
      ...describeSizes(c, o.theta),
      'attention.head_count': u32(heads),
      'attention.head_count_kv': u32(kvHeads),
      'attention.key_length': u32(headDim),
      'attention.value_length': u32(headDim),
      'rope.dimension_count': u32(headDim),
      ...rope.keys,
    },
    factors: rope.factors,
  }
}

/** what a config that leaves it out means, in transformers' classes */
const DEFAULTS: Readonly<Record<string, number>> = { max_position_embeddings: 2048, rms_norm_eps: 1e-6 }

export function describeSizes(c: Config, theta = 10000): Entries {
  const entries: Record<string, Entry> = {}
  for (const [key, name, kind] of KEYS) {
    if (name === 'rope_theta') entries[key] = f32(thetaOf(c, theta))
    else entries[key] = kind === 'count' ? u32(c.count(name, DEFAULTS[name])) : f32(c.number(name, DEFAULTS[name]))
  }
  return { ...entries, vocab_size: u32(c.count('vocab_size')) }
}

export const thetaOf = (c: Config, theta = 10000): number => {
  const { rope_theta: inside } = c.json.rope_parameters && hasKinds(c) ? ({} as Scaling) : scalingOf(c)
  return typeof inside === 'number' ? inside : c.number('rope_theta', theta)
}
/** parameters of their own for each kind of layer (Gemma 3); LongRoPE's factors are lists */
const hasKinds = (c: Config) =>
  Object.values(c.object('rope_parameters') ?? {}).some((v) => typeof v === 'object' && v !== null && !Array.isArray(v))

/** Linear and YaRN by keys, Llama 3's by a tensor of what each frequency is divided by. Others a family says itself, or they are none. */
export function describeRope(c: Config, headDim: number, o: DescribeOptions = {}): Described {
  if (hasKinds(c)) return { keys: {} }
  const scaling = scalingOf(c, o.otherwise)
  const type = typeOf(scaling)
  if (type === 'linear') return { keys: { 'rope.scaling.type': text('linear'), 'rope.scaling.factor': f32(scaling.factor as number) } }
  if (type === 'yarn') return { keys: describeYarn(c, scaling) }
  if (type !== 'llama3') return { keys: {} }
  const theta = thetaOf(c, o.theta ?? 10000)
  const factors = readRope(c, headDim, o).invFreq.map((f, i) => theta ** ((-2 * i) / headDim) / f)
  return { keys: {}, factors: { 'rope_freqs.weight': factors } }
}

export function describeYarn(c: Config, scaling: Scaling): Entries {
  const longest = c.count('max_position_embeddings', DEFAULTS.max_position_embeddings)
  const original = c.has('original_max_position_embeddings')
    ? c.count('original_max_position_embeddings')
    : ((scaling.original_max_position_embeddings as number | undefined) ?? longest)
  return {
    'rope.scaling.type': text('yarn'),
    'rope.scaling.factor': f32((scaling.factor as number | null) ?? longest / original),
    'rope.scaling.original_context_length': u32(original),
    'rope.scaling.yarn_beta_fast': f32((scaling.beta_fast as number | undefined) || 32),
    'rope.scaling.yarn_beta_slow': f32((scaling.beta_slow as number | undefined) || 1),
  }
}

/** what is added to what all have */
export const withKeys = ({ keys, factors }: Described, own: Entries): Described => ({ keys: { ...keys, ...own }, factors })
