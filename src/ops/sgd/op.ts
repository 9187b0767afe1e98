/**
 * Stochastic gradient descent over one flat range, as torch.optim.SGD: with g clipped to maxNorm by the global norm,
 *   g += decay·p;  with momentum: m = momentum·m + g, g = m (Nesterov: g += momentum·m);  p −= lr·g
 * and the gradient is left zero for the next step. lr is stepFloats' times `rate`. Where the norm is not finite nothing changes.
 */
import { type Builder, flag, type Op, real, type Tensor } from '../op.ts'

const attrs = { weightDecay: real(), momentum: real(0), nesterov: flag(false), rate: real(1) }

export const sgdOp: Op<typeof attrs> = {
  name: 'sgd',
  attrs,
  /** inputs: p, g (1, n) f32, norm (1, 1) f32, stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; outputs: p, g in place */
  outputs: (inputs) => inputs.slice(0, 2).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 5 * p!.cols,
}

export const sgdMomentumOp: Op<typeof attrs> = {
  name: 'sgd_momentum',
  attrs,
  /** inputs: p, g, m (1, n) f32, norm, stepFloats; outputs: p, g, m in place */
  outputs: (inputs) => inputs.slice(0, 3).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 9 * p!.cols,
}

export interface SgdOptions {
  weightDecay: number
  momentum: number
  nesterov: boolean
  /** what the learning rate is multiplied with here */
  rate: number
}

/** @param state none, or m where there is momentum */
export function sgd(b: Builder, p: Tensor, g: Tensor, state: readonly Tensor[], norm: Tensor, options: SgdOptions): void {
  b.apply(state.length === 0 ? sgdOp : sgdMomentumOp, [p, g, ...state, norm, b.input('stepFloats')], options, 'optimizer')
}
