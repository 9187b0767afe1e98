/**
 * o = softmax(scale · q·kᵀ) · v over the keys a token may see (FlashAttention, Dao 2022: no T × T matrix exists anywhere).
 * Query i sees key j when visibleFrom[j] ≤ i < visibleUntil[j] and, with a window, depth[i] − depth[j] < window. The keys of a pass are
 * its own tokens; over a KV cache it is paged-attention that does this.
 * With a soft cap c every scaled score s becomes c · tanh(s / c) before the softmax, and its derivative gains 1 − (s' / c)².
 * A sink is a score of its head that every query sees and that has no value: it takes weight from the keys (gpt-oss, OpenAI 2025).
 * Saved for backward: o and lse = log Σ exp of each query and head, the sink with it. With D = Σ_c dO · o:
 *   p = exp(scale·q·k − lse),  dv = pᵀ·dO,  ds = p · (dO·vᵀ − D) · scale,  dq = ds·k,  dk = dsᵀ·q,  dsink = −Σ_i exp(sink − lse) · D
 */
import { type Attrs, type Builder, type Node, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = { heads: whole(), kvHeads: whole(), headDim: whole(), valueDim: whole(), scale: real(), window: whole(0), softCap: real(0) }

export interface AttentionShape {
  heads: number
  kvHeads: number
  /** size of a query and key head */
  headDim: number
  /** size of a value head, and of a head of the result; default: headDim (latent attention has smaller ones) */
  valueDim?: number
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

/** of a pair: scores, and what they weigh; backward makes scores once more, and three gradients */
const forwardFlops = ({ headDim, valueDim }: Attrs<typeof attrs>) => 2 * (headDim + valueDim)
const backwardFlops = ({ headDim, valueDim }: Attrs<typeof attrs>) => 2 * (3 * headDim + 2 * valueDim)

/** channels of a head that every device takes */
const MOST_CHANNELS = 512

function refuses({ headDim, valueDim, heads, kvHeads, scale, softCap }: Attrs<typeof attrs>): string | null {
  const size = [headDim, valueDim].find((n) => n < 1 || n > MOST_CHANNELS)
  if (size !== undefined) return `heads of ${size} channels: from 1 to ${MOST_CHANNELS} are supported`
  if (kvHeads < 1 || heads % kvHeads) return `${heads} heads can't share ${kvHeads} key heads`
  return scale > 0 && scale < Infinity && softCap >= 0 && softCap < Infinity
    ? null
    : `a scale of ${scale} and a soft cap of ${softCap}: the first must be positive, the second not negative, both finite`
}

export const attentionOp: Op<typeof attrs> = {
  name: 'attention',
  attrs,
  refuses,
  /**
   * inputs: q (T, H·D), k (T, G·D), v (T, G·V), visibleFrom, visibleUntil, depth (T, 1) i32, sinks (1, H) | null
   */
  outputs: ([q], attrs) => [
    { rows: q!.rows, cols: attrs.heads * attrs.valueDim, dtype: q!.dtype }, // o (T, H·V)
    { rows: q!.rows, cols: attrs.heads, dtype: 'f32' }, // lse (T, H)
  ],
  backward(b, node, [dO]) {
    const [q, k, v, ...mask] = node.inputs.slice(0, 6)
    const [o, lse] = node.outputs
    const sinks = node.inputs[6]
    if (sinks?.needsGrad) b.apply(sinkGradOp, [dO!, o!, lse!, sinks, b.gradientOf(sinks)], { valueDim: node.attrs.valueDim }, node.name)
    const wanted = [q, k, v].map((x) => x!.needsGrad)
    const d = wanted.includes(true) ? b.apply(attentionBackwardOp, [dO!, o!, lse!, q!, k!, v!, ...mask], node.attrs, node.name) : []
    return [...wanted.map((wants, i) => (wants ? d[i]! : null)), null, null, null, null]
  },
  flops: (node) => pairs(node) * forwardFlops(node.attrs),
  pairFlops: ({ attrs }) => attrs.heads * forwardFlops(attrs),
}

export const attentionBackwardOp: Op<typeof attrs> = {
  name: 'attention_backward',
  attrs,
  /** inputs: dO, o (T, H·V), lse (T, H), q, k, v, visibleFrom, visibleUntil, depth */
  outputs: ([, , , q, k, v]) => [q, k, v].map((x) => ({ rows: x!.rows, cols: x!.cols, dtype: x!.dtype })),
  flops: (node) => pairs(node) * backwardFlops(node.attrs),
  pairFlops: ({ attrs }) => attrs.heads * backwardFlops(attrs),
}

const sinkAttrs = { valueDim: whole() }

export const sinkGradOp: Op<typeof sinkAttrs> = {
  name: 'attention_sink_grad',
  attrs: sinkAttrs,
  /** inputs: dO, o (T, H·V), lse (T, H), sinks (1, H), their gradient (1, H), which is added to */
  outputs: ([, , , , dSinks]) => [{ rows: 1, cols: dSinks!.cols, dtype: 'f32', into: dSinks! }],
  flops: ({ inputs: [dO] }) => 2 * dO!.rows * dO!.cols,
}

/** q (T, H·D), k (T, G·D), v (T, G·V), sinks (1, H): a score of each head without a value -> o (T, H·V) */
export function attention(
  b: Builder,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  shape: AttentionShape,
  name?: string,
  sinks: Tensor | null = null,
): Tensor {
  const mask = [b.input('visibleFrom'), b.input('visibleUntil'), b.input('depth')]
  const attrs = { ...shape, valueDim: shape.valueDim ?? shape.headDim }
  return b.apply(attentionOp, [q, k, v, ...mask, sinks], attrs, name)[0]!
}
