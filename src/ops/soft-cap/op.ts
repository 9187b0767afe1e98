/** y = cap · tanh(x / cap): values stay within ±cap (Gemma 2's logits). dx = dy · (1 − (y / cap)²). */
import { type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { cap: real() }

export const softCapOp: Op<typeof attrs> = {
  name: 'soft_cap',
  attrs,
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => b.apply(softCapBackwardOp, [dY!, node.outputs[0]!], node.attrs, node.name),
  inPlace: [[0, 0]],
  flops: ({ outputs: [y] }) => 8 * y!.rows * y!.cols,
}

export const softCapBackwardOp: Op<typeof attrs> = {
  name: 'soft_cap_backward',
  attrs,
  /** inputs: dY, y (T, C) */
  outputs: ([dY]) => [{ rows: dY!.rows, cols: dY!.cols, dtype: dY!.dtype }],
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  flops: ({ outputs: [d] }) => 4 * d!.rows * d!.cols,
}

/** `cap` > 0 */
export function softCap(b: Builder, x: Tensor, cap: number, name?: string): Tensor {
  return b.apply(softCapOp, [x], { cap }, name)[0]!
}
