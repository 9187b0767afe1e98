/** y = x in another dtype (rounded to nearest even) */
import type { Builder, DType, Op, Tensor } from '../op.ts'

const TARGETS: readonly DType[] = ['f32', 'bf16']

export const castOp: Op = {
  name: 'cast',
  attrs: [],
  outputs: ([x], attrs) => [{ rows: x!.rows, cols: x!.cols, dtype: TARGETS[attrs.dtype!]! }],
  backward: (b, node, [dY]) => [cast(b, dY!, node.inputs[0]!.dtype)],
  cheap: true,
  flops: () => 0,
}

export function cast(b: Builder, x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : b.apply(castOp, [x], { dtype: TARGETS.indexOf(dtype) })[0]!
}
