/** y = factor · x */
import type { Builder, Op, Tensor } from '../op.ts'

export const scaleOp: Op = {
  name: 'scale',
  attrs: ['factor'],
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => [scale(b, dY!, node.attrs.factor!)],
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => y!.rows * y!.cols,
}

/** factor · x; x itself where the factor is one */
export function scale(b: Builder, x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : b.apply(scaleOp, [x], { factor })[0]!
}
