/** d (1, N) += Σ_t dY[t]: the gradient of a bias. */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const columnSumOp: Op<NoAttrs> = {
  name: 'column_sum',
  attrs: none,
  outputs: ([, d]) => [{ rows: 1, cols: d!.cols, dtype: 'f32', into: d! }],
  flops: ({ inputs: [dY] }) => dY!.rows * dY!.cols,
}

/** dY (T, N), d (1, N) f32 in the store */
export function columnSum(b: Builder, dY: Tensor, d: Tensor, name?: string): void {
  b.apply(columnSumOp, [dY, d], {}, name)
}
