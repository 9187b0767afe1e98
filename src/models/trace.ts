/**
 * The vocabulary a family and an adapter speak. They describe the forward computation of one pass over T tokens;
 * `graph/trace.ts` records it. Neither knows which device runs it or how it is differentiated.
 */

import type { AttentionShape } from '../ops/attention/op.ts'
import type { NormOptions } from '../ops/rms-norm/op.ts'
import type { Tensor } from '../ops/tensor.ts'

export interface RopeTable {
  /** cos/sin are made from these: angle(position, i) = position · invFreq[i], both multiplied by `attentionFactor`. */
  invFreq: readonly number[]
  attentionFactor: number
  /** channels of a head that are rotated (head_dim for full rope) */
  rotaryDim: number
  /** true: pairs are (2i, 2i+1); false: (i, i + rotaryDim/2), as Hugging Face's checkpoints have it */
  interleaved: boolean
}

export interface LinearShape {
  in: number
  out: number
  bias: boolean
}

export interface Trace {
  /** T, the tokens of this pass */
  readonly tokens: number
  /** x = W[ids]  (T, C) */
  embed(path: string, shape: { vocab: number; channels: number }): Tensor
  /** Runs `body` for each block; what a block's policy (keep, recompute …) applies to. Paths inside are relative to `${path}.${i}`. */
  blocks(path: string, count: number, x: Tensor, body: (t: Trace, x: Tensor, index: number) => Tensor): Tensor
  /** y = rmsnorm(x) · w */
  rmsNorm(path: string, x: Tensor, options: NormOptions): Tensor
  /** h = x + delta; y = rmsnorm(h) · w */
  addRmsNorm(path: string, x: Tensor, delta: Tensor, options: NormOptions): { h: Tensor; y: Tensor }
  add(a: Tensor, b: Tensor): Tensor
  /** What the adapter chosen for `path` makes of x (T, in) -> (T, out) */
  linear(path: string, x: Tensor, shape: LinearShape): Tensor
  /** rotates every head of x (T, heads · headDim) by its token's position */
  rope(x: Tensor, headDim: number, table: RopeTable): Tensor
  /** softmax(scale · q·kᵀ over the keys a token may see) · v   (T, heads · headDim) */
  attention(q: Tensor, k: Tensor, v: Tensor, shape: AttentionShape): Tensor
  /** silu(gate) · up */
  swiglu(gate: Tensor, up: Tensor): Tensor
}
