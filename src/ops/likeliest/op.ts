/** Of each row of logits, the token that is the likeliest: the first of the largest; −1 where there is none, in a row with NaN or ∞, or of −∞ alone. */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const likeliestOp: Op<NoAttrs> = {
  name: 'likeliest',
  attrs: none,
  /** inputs: logits (N, V); output: ids (N, 1) i32 */
  outputs: ([logits]) => [{ rows: logits!.rows, cols: 1, dtype: 'i32' }],
  flops: ({ inputs: [logits] }) => logits!.rows * logits!.cols,
}

export const likeliest = (b: Builder, logits: Tensor): Tensor => b.apply(likeliestOp, [logits], {}, 'likeliest')[0]!
