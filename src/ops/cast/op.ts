/** y = x in another dtype (rounded to nearest even) */
import { type Builder, type DType, dtype, type Op, type Tensor } from '../op.ts'

const attrs = { dtype: dtype() }

export const castOp: Op<typeof attrs> = {
  name: 'cast',
  attrs,
  outputs: ([x], { dtype }) => [{ rows: x!.rows, cols: x!.cols, dtype }],
  backward: (b, node, [dY]) => [cast(b, dY!, node.inputs[0]!.dtype)],
  cheap: true,
  flops: () => 0,
}

export function cast(b: Builder, x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : b.apply(castOp, [x], { dtype })[0]!
}
