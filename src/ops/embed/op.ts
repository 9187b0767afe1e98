/**
 * x[t] = W[ids[t]]; backward adds dX[t] to row ids[t] of dW, in the order of t. `trans`: W is (C, V), a token is a column (LoRA's A).
 * The row of token `padding` is read but gets no gradient.
 */
import { type Builder, type DType, dtype, flag, type Op, type Tensor, whole } from '../op.ts'

const attrs = { trans: flag(false), dtype: dtype(), padding: whole(-1) }
const gradAttrs = { trans: flag(false), padding: whole(-1) }

export const embedOp: Op<typeof attrs> = {
  name: 'embed',
  attrs,
  /** inputs: ids (T, 1) i32, W (V, C); output in `dtype` */
  outputs: ([ids, w], { trans, dtype }) => [{ rows: ids!.rows, cols: trans ? w!.rows : w!.cols, dtype }],
  backward(b, node, [dX]) {
    const [ids, w] = node.inputs
    if (w!.needsGrad)
      b.apply(embedGradOp, [ids!, dX!, b.gradientOf(w!)], { trans: node.attrs.trans, padding: node.attrs.padding }, node.name)
    return [null, null]
  },
  sparse: [1],
  flops: () => 0,
  bytes: ({ outputs: [x] }) => 2 * x!.rows * x!.cols * (x!.dtype === 'f32' ? 4 : 2),
}

export const embedGradOp: Op<typeof gradAttrs> = {
  name: 'embed_grad',
  attrs: gradAttrs,
  /** inputs: ids (T, 1) i32, dX (T, C), dW (V, C) f32 */
  outputs: ([, , dW]) => [{ rows: dW!.rows, cols: dW!.cols, dtype: 'f32', into: dW! }],
  flops: ({ inputs: [, dX] }) => dX!.rows * dX!.cols,
  bytes: ({ inputs: [, dX] }) => 12 * dX!.rows * dX!.cols,
}

export interface EmbedOptions {
  /** of x */
  dtype: DType
  /** W is (C, V) */
  trans?: boolean
  /** the token whose row gets no gradient (torch's padding_idx) */
  padding?: number
}

/** x (T, C) */
export function embed(b: Builder, ids: Tensor, w: Tensor, options: EmbedOptions, name?: string): Tensor {
  return b.apply(embedOp, [ids, w], options, name)[0]!
}
