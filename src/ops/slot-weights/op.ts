/**
 * A column that says how much of its expert's bias each sorted row (`dispatch`) gets: y[s] = w[order[s]], or 1 without weights. w is read flat,
 * slot t · k + j is w[t, j]. It rides beside x in a grouped product whose second weight is the biases: Σ x·W + y·b. dw[order[s]] = dy[s].
 * Zeros stand beside it, so that rows begin at multiples of 16 bytes, as cards copy tiles.
 */
import { type Builder, type DType, dtype, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

const attrs = { dtype: dtype() }
const COLUMNS = 8

export const slotWeightsBackwardOp: Op<NoAttrs> = {
  name: 'slot_weights_backward',
  attrs: none,
  /** inputs: dY (M, 8), of which the first column is read, weights (T, k), order (M, 1) i32: every slot's once */
  outputs: ([, weights]) => [{ rows: weights!.rows, cols: weights!.cols, dtype: weights!.dtype }],
  flops: () => 0,
}

export const slotWeightsOp: Op<typeof attrs> = {
  name: 'slot_weights',
  attrs,
  /** inputs: weights (T, k) f32 or bf16 | null, order (M, 1) i32 with M = T · k; output (M, 8), f32 or bf16: y and seven columns of zeros */
  outputs: ([, order], { dtype }) => [{ rows: order!.rows, cols: COLUMNS, dtype }],
  backward: (b, { inputs: [weights, order], name }, [dY]) => [
    weights ? b.apply(slotWeightsBackwardOp, [dY!, weights, order!], {}, name)[0]! : null,
    null,
  ],
  cheap: true,
  flops: () => 0,
}

/** weights (T, k) or null, order (T · k, 1) -> (T · k, 1) */
export function slotWeights(b: Builder, weights: Tensor | null, order: Tensor, dtype: DType, name?: string): Tensor {
  return b.columns(b.apply(slotWeightsOp, [weights, order], { dtype }, name)[0]!, 0, 1)
}
