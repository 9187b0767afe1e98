/**
 * The vocabulary a family and an adapter speak. They describe the forward computation of one pass over T tokens;
 * `graph/trace.ts` records it. Neither knows which device runs it or how it is differentiated.
 */

/** f32 and bf16 are values; i32 indices; nf4 a 4-bit base weight (with its quantisation state beside it in the store). */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'nf4'

/** bytes of an element */
export const BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, bf16: 2, f16: 2, u8: 1, nf4: 0.5 }

/** bytes of `rows × cols` elements */
export function sizeOf(spec: { rows: number; cols: number; dtype: DType }): number {
  return Math.ceil(spec.rows * spec.cols * BYTES[spec.dtype])
}

/** A 2-D matrix of `rows × cols`; row `i` starts at element `offset + i · stride` of its root. */
export interface Tensor {
  readonly id: number
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly stride: number
  readonly dtype: DType
  /** Where it lives: `arena` for a pass, `store` across passes (weights, gradients, optimiser state), `input` for what the host uploads. */
  readonly space: 'arena' | 'store' | 'input'
  /** A view reads its root's memory from this element on. */
  readonly root: Tensor | undefined
  readonly offset: number
  /** True where a gradient has to flow: something trainable lies at or below it. */
  readonly needsGrad: boolean
}

export interface RopeTable {
  /** cos/sin are made from these: angle(position, i) = position · invFreq[i], both multiplied by `attentionFactor`. */
  invFreq: readonly number[]
  attentionFactor: number
  /** channels of a head that are rotated (head_dim for full rope) */
  rotaryDim: number
  /** true: pairs are (2i, 2i+1); false: (i, i + rotaryDim/2), as Hugging Face's checkpoints have it */
  interleaved: boolean
}

export interface AttentionShape {
  heads: number
  kvHeads: number
  /** size of a query and key head */
  headDim: number
  /** multiplies q·k */
  scale: number
  /** a query sees keys less than `window` positions back; 0: all of them */
  window: number
}

export interface NormOptions {
  eps: number
  /** y = x̂ · (1 + w) instead of x̂ · w (Gemma) */
  plusOne?: boolean
  /** normalise each run of `group` channels on its own (per-head norms); default: the whole row */
  group?: number
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
