/** y = a + c */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const addOp: Op<NoAttrs> = {
  name: 'add',
  attrs: none,
  outputs: ([a]) => [{ rows: a!.rows, cols: a!.cols, dtype: a!.dtype }],
  backward: (_b, _node, [dY]) => [dY!, dY!],
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  flops: ({ outputs: [y] }) => y!.rows * y!.cols,
}

export function add(b: Builder, a: Tensor, c: Tensor, name?: string): Tensor {
  return b.apply(addOp, [a, c], {}, name)[0]!
}
