/**
 * o = softmax(scale · q·kᵀ) · v over the keys a token may see (FlashAttention, Dao 2022: no T × T matrix exists anywhere).
 * Query i sees key j when visibleFrom[j] ≤ i < visibleUntil[j] and, with a window, depth[i] − depth[j] < window. The keys of a pass are
 * its own tokens; with a KV cache they are S ≥ T tokens and row 0 of q is token `queryStart` of them.
 * With a soft cap c every scaled score s becomes c · tanh(s / c) before the softmax, and its derivative gains 1 − (s' / c)².
 * Saved for backward: o and lse = log Σ exp of each query and head. With D = Σ_c dO · o:
 *   p = exp(scale·q·k − lse),  dv = pᵀ·dO,  ds = p · (dO·vᵀ − D) · scale,  dq = ds·k,  dk = dsᵀ·q
 */
import { type Attrs, type Builder, type Node, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = { heads: whole(), kvHeads: whole(), headDim: whole(), scale: real(), window: whole(0), softCap: real(0) }

export interface AttentionShape {
  heads: number
  kvHeads: number
  /** size of a query and key head */
  headDim: number
  /** multiplies q·k */
  scale: number
  /** a query sees keys less than `window` positions back; 0: all of them */
  window?: number
  /** a score s becomes softCap · tanh(s / softCap); 0: it stays (Gemma 2) */
  softCap?: number
}

/** Pairs a causal pass of one row would score: what a plan made without rows knows. */
const pairs = (node: Node<typeof attrs>) => {
  const t = node.outputs[0]!.rows
  const w = node.attrs.window || t
  return node.attrs.heads * (t <= w ? (t * (t + 1)) / 2 : w * t - (w * (w - 1)) / 2)
}

/** channels of a head that every device takes */
const MOST_CHANNELS = 512

function refuses({ headDim, heads, kvHeads, scale, softCap }: Attrs<typeof attrs>): string | null {
  if (headDim < 1 || headDim > MOST_CHANNELS) return `heads of ${headDim} channels: from 1 to ${MOST_CHANNELS} are supported`
  if (kvHeads < 1 || heads % kvHeads) return `${heads} heads can't share ${kvHeads} key heads`
  return scale > 0 && scale < Infinity && softCap >= 0 && softCap < Infinity
    ? null
    : `a scale of ${scale} and a soft cap of ${softCap}: the first must be positive, the second not negative, both finite`
}

export const attentionOp: Op<typeof attrs> = {
  name: 'attention',
  attrs,
  refuses,
  /** inputs: q (T, H·D), k (S, G·D), v (S, G·D), visibleFrom, visibleUntil, depth (S, 1) i32, queryStart (1, 1) i32 | null (then S = T) */
  outputs: ([q], attrs) => [
    { rows: q!.rows, cols: q!.cols, dtype: q!.dtype }, // o (T, H·D)
    { rows: q!.rows, cols: attrs.heads, dtype: 'f32' }, // lse (T, H)
  ],
  backward(b, node, [dO]) {
    const [q, k, v, ...mask] = node.inputs.slice(0, 6)
    if (node.inputs[6]) throw new Error(`${node.name}: attention over a cache has no derivative`)
    const d = b.apply(attentionBackwardOp, [dO!, ...node.outputs, q!, k!, v!, ...mask], node.attrs, node.name)
    return [q!.needsGrad ? d[0]! : null, k!.needsGrad ? d[1]! : null, v!.needsGrad ? d[2]! : null, null, null, null, null]
  },
  flops: (node) => pairs(node) * 4 * node.attrs.headDim,
  pairFlops: ({ attrs }) => 4 * attrs.heads * attrs.headDim,
}

export const attentionBackwardOp: Op<typeof attrs> = {
  name: 'attention_backward',
  attrs,
  /** inputs: dO, o (T, H·D), lse (T, H), q, k, v, visibleFrom, visibleUntil, depth */
  outputs: ([, , , q, k, v]) => [q, k, v].map((x) => ({ rows: x!.rows, cols: x!.cols, dtype: x!.dtype })),
  flops: (node) => pairs(node) * 10 * node.attrs.headDim,
  pairFlops: ({ attrs }) => 10 * attrs.heads * attrs.headDim,
}

export function attention(
  b: Builder,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: AttentionShape,
  name?: string,
  queryStart: Tensor | null = null,
): Tensor {
  const mask = [b.input('visibleFrom'), b.input('visibleUntil'), b.input('depth')]
  return b.apply(attentionOp, [q, k, v, ...mask, queryStart], shape, name)[0]!
}
