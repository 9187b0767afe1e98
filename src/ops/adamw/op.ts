/**
 * AdamW (Loshchilov & Hutter 2019) over one flat range, as torch.optim.AdamW: with g clipped to maxNorm by the global norm,
 *   p ·= 1 − lr·decay;  m = β1·m + (1−β1)·g;  v = β2·v + (1−β2)·g²;  p −= lr/(1−β1ᵗ) · m / (√v / √(1−β2ᵗ) + eps)
 * and the gradient is left zero for the next step. lr is stepFloats' times `rate`. Where the norm is not finite nothing changes: one bad step spoils no weight. The 8-bit form keeps m and v as bitsandbytes does: blocks of 256, each an absmax (f32)
 * and codes into the signed (m) or unsigned (v) dynamic map.
 */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { beta1: real(), beta2: real(), eps: real(), weightDecay: real(), rate: real(1) }

export const adamwOp: Op<typeof attrs> = {
  name: 'adamw',
  attrs,
  /** inputs: p, g, m, v (1, n) f32, norm (1, 1) f32, stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step t (from 1), 0; outputs: all updated in place */
  outputs: (inputs) => inputs.slice(0, 4).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 16 * p!.cols,
}

export const adamw8bitOp: Op<typeof attrs> = {
  name: 'adamw_8bit',
  attrs,
  /** inputs: p, g (1, n) f32, m, v (1, n) u8, absmaxM, absmaxV (1, ceil(n / 256)) f32, mapM, mapV (1, 256) f32, norm, stepFloats */
  outputs: (inputs) => inputs.slice(0, 6).map((x) => ({ rows: 1, cols: x!.cols, dtype: x!.dtype, into: x! })),
  flops: ({ inputs: [p] }) => 40 * p!.cols,
}

export interface AdamWOptions {
  /** what the learning rate is multiplied with here; default 1 */
  rate?: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
}

/** state: [m, v], or [m, v, absmaxM, absmaxV, mapM, mapV] */
export function adamw(b: Builder, p: Tensor, g: Tensor, state: readonly Tensor[], norm: Tensor, options: AdamWOptions): void {
  const { beta1, beta2, eps, weightDecay, rate = 1 } = options
  const inputs = [p, g, ...state, norm, b.input('stepFloats')]
  b.apply(state.length === 2 ? adamwOp : adamw8bitOp, inputs, { beta1, beta2, eps, weightDecay, rate }, 'optimizer')
}
