/** dW (N, K) += dYᵀ · x: the gradient of a weight, added to its f32 accumulator. */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { alpha: real(1) }

export const weightGradOp: Op<typeof attrs> = {
  name: 'weight_grad',
  attrs,
  outputs: ([, , dW]) => [{ rows: dW!.rows, cols: dW!.cols, dtype: 'f32', into: dW! }],
  // one of few rows or columns reads much and multiplies little
  beside: 'kernels',
  flops: ({ inputs: [dY, x] }) => 2 * dY!.rows * dY!.cols * x!.cols,
}

/** dY (T, N), x (T, K), dW (N, K) f32 in the store */
export function weightGrad(b: Builder, dY: Tensor, x: Tensor, dW: Tensor, name?: string): void {
  b.apply(weightGradOp, [dY, x, dW], {}, name)
}
