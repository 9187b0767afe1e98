/** norm (1, 1) = ‖gradient‖₂ of the whole flat range, summed in f64 in an order that no thread count changes. */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const gradNormOp: Op<NoAttrs> = {
  name: 'grad_norm',
  attrs: none,
  /** inputs: gradient (1, n) f32 */
  outputs: () => [{ rows: 1, cols: 1, dtype: 'f32' }],
  flops: ({ inputs: [g] }) => 2 * g!.cols,
}

export function gradNorm(b: Builder, gradient: Tensor): Tensor {
  return b.apply(gradNormOp, [gradient], {}, 'optimizer')[0]!
}
