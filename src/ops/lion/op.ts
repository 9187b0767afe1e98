/**
 * Lion (Chen et al. 2023) over one flat range, as bitsandbytes' Lion: with g clipped to maxNorm by the global norm,
 *   p ·= 1 − lr·decay;  p −= lr · sign(β1·m + (1−β1)·g);  m = β2·m + (1−β2)·g
 * and the gradient is left zero for the next step. lr is stepFloats' times `rate`. Where the norm is not finite nothing changes.
 */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { beta1: real(), beta2: real(), weightDecay: real(), rate: real(1) }

export const lionOp: Op<typeof attrs> = {
  name: 'lion',
  attrs,
  /** inputs: p, g, m (1, n) f32, norm (1, 1) f32, stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; outputs: p, g, m in place */
  outputs: (inputs) => inputs.slice(0, 3).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 10 * p!.cols,
}

export interface LionOptions {
  beta1: number
  beta2: number
  weightDecay: number
  /** what the learning rate is multiplied with here */
  rate: number
}

export function lion(b: Builder, p: Tensor, g: Tensor, m: Tensor, norm: Tensor, options: LionOptions): void {
  b.apply(lionOp, [p, g, m, norm, b.input('stepFloats')], options, 'optimizer')
}
