/** What a pass keeps in the host's memory meanwhile: y = x there, and back. Both run beside the steps after them. */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const toHostOp: Op<NoAttrs> = {
  name: 'to_host',
  attrs: none,
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype, onHost: true }],
  beside: 'copies',
  flops: () => 0,
}

export const fromHostOp: Op<NoAttrs> = {
  name: 'from_host',
  attrs: none,
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  beside: 'copies',
  flops: () => 0,
}

export const fromHost = (b: Builder, x: Tensor, name?: string): Tensor => b.apply(fromHostOp, [x], {}, name)[0]!
