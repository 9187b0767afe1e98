/**
 * Attention of new tokens over a KV cache that lies in pages (Kwon 2023): o = softmax(scale · q·kᵀ) · v, a token's keys are those of its
 * own row up to itself. Key j of token t's row is row pages[t][⌊j / page⌋] · page + j mod page of k and v; t itself is key position[t], and
 * with a window it sees keys less than `window` back. Position −1: a token that is none, sees nothing, and gives 0.
 * Soft caps and sinks as in attention. Rows may share pages: what two texts begin with lies once.
 */
import type { AttentionShape } from '../attention/op.ts'
import { type Attrs, type Builder, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = {
  heads: whole(),
  kvHeads: whole(),
  headDim: whole(),
  valueDim: whole(),
  scale: real(),
  page: whole(),
  window: whole(0),
  softCap: real(0),
}

/** keys of a page are a multiple of this: kernels take so many at once */
export const PAGE_QUANTUM = 64
const MOST_CHANNELS = 512

function refuses({ headDim, valueDim, heads, kvHeads, page, scale, softCap }: Attrs<typeof attrs>): string | null {
  const size = [headDim, valueDim].find((n) => n < 1 || n > MOST_CHANNELS)
  if (size !== undefined) return `heads of ${size} channels: from 1 to ${MOST_CHANNELS} are supported`
  if (kvHeads < 1 || heads % kvHeads) return `${heads} heads can't share ${kvHeads} key heads`
  if (page < 1 || page % PAGE_QUANTUM) return `pages of ${page} keys: they are multiples of ${PAGE_QUANTUM}`
  return scale > 0 && scale < Infinity && softCap >= 0 && softCap < Infinity
    ? null
    : `a scale of ${scale} and a soft cap of ${softCap}: the first must be positive, the second not negative, both finite`
}

export const pagedAttentionOp: Op<typeof attrs> = {
  name: 'paged_attention',
  attrs,
  refuses,
  /** inputs: q (T, H·D), k (S, G·D), v (S, G·V), position (T, 1) i32, pages (T, P) i32, sinks (1, H) | null */
  outputs: ([q], { heads, valueDim }) => [
    { rows: q!.rows, cols: heads * valueDim, dtype: q!.dtype }, // o (T, H·V)
    { rows: q!.rows, cols: heads, dtype: 'f32' }, // lse (T, H)
  ],
  // of rows that fill half of what their pages hold
  flops: ({ inputs: [q, , , , pages], attrs: a }) => q!.rows * pages!.cols * a.page * a.heads * (a.headDim + a.valueDim),
}

/** Which rows of a cache new tokens see. */
export interface Pages {
  /** of each token in its text (T, 1) i32 */
  position: Tensor
  /** of each token's text (T, P) i32 */
  pages: Tensor
  /** keys of a page */
  page: number
}

/** q (T, H·D), k (S, G·D), v (S, G·V) -> o (T, H·V) */
export function pagedAttention(
  b: Builder,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { position, pages, page }: Pages,
  shape: AttentionShape,
  name?: string,
  sinks: Tensor | null = null,
): Tensor {
  const attrs = { ...shape, valueDim: shape.valueDim ?? shape.headDim, page }
  return b.apply(pagedAttentionOp, [q, k, v, position, pages, sinks], attrs, name)[0]!
}
