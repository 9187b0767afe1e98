/**
 * RMSprop and Adagrad over one flat range, as torch.optim has them: with g clipped to maxNorm by the global norm,
 *   g += decay·p;  v = kept·v + added·g²;  p −= lr · g / (√v + eps)
 * and the gradient is left zero for the next step. RMSprop keeps α of v and adds 1 − α, Adagrad keeps and adds all. lr is stepFloats' times
 * `rate`. Where the norm is not finite nothing changes.
 */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { kept: real(), added: real(), eps: real(), weightDecay: real(), rate: real(1) }

export const rmsStepOp: Op<typeof attrs> = {
  name: 'rms_step',
  attrs,
  /** inputs: p, g, v (1, n) f32, norm (1, 1) f32, stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; outputs: p, g, v in place */
  outputs: (inputs) => inputs.slice(0, 3).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 11 * p!.cols,
}

export interface RmsStepOptions {
  kept: number
  added: number
  eps: number
  weightDecay: number
  /** what the learning rate is multiplied with here */
  rate: number
}

export function rmsStep(b: Builder, p: Tensor, g: Tensor, v: Tensor, norm: Tensor, options: RmsStepOptions): void {
  b.apply(rmsStepOp, [p, g, v, norm, b.input('stepFloats')], options, 'optimizer')
}
