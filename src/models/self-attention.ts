/** Grouped-query attention with rotary positions: projections, rotation, attention, output. */
import { attention } from '../ops/attention/op.ts'
import { hash32 } from '../ops/dropout/op.ts'
import { pagedAttention } from '../ops/paged-attention/op.ts'
import type { NormOptions } from '../ops/rms-norm/op.ts'
import { rope, ropeTable } from '../ops/rope/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import { norm } from './norm.ts'
import type { RopeTable } from './rope.ts'
import type { Trace } from './trace.ts'

export const ATTENTION_LINEARS = ['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const

export interface Heads {
  /** H query heads, G key and value heads of D channels */
  heads: number
  kvHeads: number
  headDim: number
  /** channels of a value head, where they are not D */
  valueDim?: number
}

/** C / heads, where a config gives no head_dim */
function evenHeadDim(c: Config, heads: number): number {
  if (c.count('hidden_size') % heads) c.fail('hidden_size', `doesn't divide into ${heads} heads, and no head_dim is given`)
  return c.count('hidden_size') / heads
}

/** @param headDim the family's own where the config has none; default: the hidden size shared out */
export function readHeads(c: Config, headDim?: number): Heads {
  const heads = c.count('num_attention_heads')
  const kvHeads = c.count('num_key_value_heads', heads)
  if (heads % kvHeads) c.fail('num_key_value_heads', `is ${kvHeads}, which doesn't divide ${heads} heads`)
  const shared = headDim === undefined && c.json.head_dim == null
  const size = shared ? evenHeadDim(c, heads) : c.count('head_dim', headDim)
  c.means('head_dim', size)
  return { heads, kvHeads, headDim: size }
}

export interface AttentionOptions {
  /** null: positions are not rotated in */
  rope: RopeTable | null
  /** biases of the projections */
  bias?: { qkv: boolean; o: boolean }
  /** RMSNorm of every query and key head, before rotation */
  qkNorm?: NormOptions
  /** multiplies q·k; default 1 / √D */
  scale?: number
  /** tokens that a query looks back over; 0: all */
  window?: number
  /** of the scores; 0: none */
  softCap?: number
  /** a score of each head that no key has */
  sinks?: boolean
}

/** x (T, C) -> (T, C) */
export function selfAttention(t: Trace, x: Tensor, size: Heads, o: AttentionOptions): Tensor {
  const { heads, kvHeads, headDim } = size
  const project = (name: string, count: number) =>
    t.linear(`self_attn.${name}_proj`, x, { in: x.cols, out: count * headDim, bias: o.bias?.qkv ?? false })
  const placed = (name: string, count: number) => {
    const all = project(name, count)
    const normed = o.qkNorm ? norm(t, `self_attn.${name}_norm`, all, { ...o.qkNorm, group: headDim }) : all
    return o.rope ? rotate(t, normed, headDim, o.rope) : normed
  }
  const v = project('v', kvHeads)
  return attended(t, { q: placed('q', heads), k: placed('k', kvHeads), v }, size, { ...o, channels: x.cols })
}

/** q (T, H · D), k (T, G · D) and v (T, G · V), rotated where they are to be -> (T, channels), by o_proj */
export function attended(
  t: Trace,
  { q, k, v }: Record<'q' | 'k' | 'v', Tensor>,
  { heads, kvHeads, headDim, valueDim = headDim }: Heads,
  o: Pick<AttentionOptions, 'bias' | 'scale' | 'window' | 'softCap' | 'sinks'> & { channels: number },
): Tensor {
  const seen = t.seen(k, v)
  const shape = { heads, kvHeads, headDim, valueDim, scale: o.scale ?? headDim ** -0.5, window: o.window, softCap: o.softCap }
  const sinks = o.sinks ? t.sinks('self_attn.sinks', heads) : null
  const y = seen.pages
    ? pagedAttention(t, q, seen.k, seen.v, seen.pages, shape, 'attention', sinks)
    : attention(t, q, seen.k, seen.v, shape, 'attention', sinks) // (T, H · V)
  return t.linear('self_attn.o_proj', y, { in: heads * valueDim, out: o.channels, bias: o.bias?.o ?? false })
}

/** Every head of x (T, heads · headDim) turned by its token's position, its channels from `from` on; the angles are made once a pass. */
export function rotate(t: Trace, x: Tensor, headDim: number, table: RopeTable, from = 0): Tensor {
  const key = `rope.${hash32(JSON.stringify(table)).toString(16)}`
  const angles = t.once(`${key}.angles`, () => {
    const long = table.long && { long: t.input('long'), invFreq: t.constant(`${key}.long`, table.long.invFreq) }
    return ropeTable(t, t.input('position'), t.constant(key, table.invFreq), table.attentionFactor, long)
  })
  return rope(t, x, angles, { headDim, from, interleaved: table.interleaved }, 'rope')
}
