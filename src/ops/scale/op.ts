/** y = factor · x */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { factor: real() }

export const scaleOp: Op<typeof attrs> = {
  name: 'scale',
  attrs,
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => [scale(b, dY!, node.attrs.factor)],
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => y!.rows * y!.cols,
}

/** factor · x; x itself where the factor is one */
export function scale(b: Builder, x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : b.apply(scaleOp, [x], { factor })[0]!
}
