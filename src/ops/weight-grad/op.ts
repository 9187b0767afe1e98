/** dW (N, K) += dYᵀ · x: the gradient of a weight, added to its f32 accumulator. */
import type { Builder, Op, Tensor } from '../op.ts'

export const weightGradOp: Op = {
  name: 'weight_grad',
  attrs: ['alpha'],
  outputs: ([, , dW]) => [{ rows: dW!.rows, cols: dW!.cols, dtype: 'f32', into: dW! }],
  flops: ({ inputs: [dY, x] }) => 2 * dY!.rows * dY!.cols * x!.cols,
}

/** dY (T, N), x (T, K), dW (N, K) f32 in the store */
export function weightGrad(b: Builder, dY: Tensor, x: Tensor, dW: Tensor, name?: string): void {
  b.apply(weightGradOp, [dY, x, dW], { alpha: 1 }, name)
}
