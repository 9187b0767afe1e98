/**
 * y[s] = w[order[s]] · x[s]: each sorted row (`dispatch`) times its slot's weight; w is read flat, slot t · k + j is w[t, j].
 * It stands before an expert's last linear, which is linear: Σ_j w_j · down(h_j) = Σ_j down(w_j · h_j), and so no gradient asks for down's
 * result. dx[s] = w[order[s]] · dy[s];  dw[order[s]] = Σ_c dy[s, c] · x[s, c], every slot's once.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

/** inputs: x (M, C), weights (T, k) f32 or of x's type, order (M, 1) i32 with M = T · k; in f32, rounded once */
export const weighOp: Op<NoAttrs> = {
  name: 'weigh',
  attrs: none,
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward(b, { inputs: [x, weights, order], name }, [dY]) {
    return [...b.apply(weighBackwardOp, [dY!, x!, weights!, order!], {}, name), null]
  },
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => y!.rows * y!.cols,
}

export const weighBackwardOp: Op<NoAttrs> = {
  name: 'weigh_backward',
  attrs: none,
  /** inputs: dY (M, C), x (M, C), weights (T, k), order (M, 1) i32 */
  outputs: ([dY, , weights]) => [
    { rows: dY!.rows, cols: dY!.cols, dtype: dY!.dtype }, // dX (M, C)
    { rows: weights!.rows, cols: weights!.cols, dtype: weights!.dtype }, // dWeights (T, k)
  ],
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  flops: ({ outputs: [d] }) => 3 * d!.rows * d!.cols,
}

/** x (T · k, C), weights (T, k), order (T · k, 1) -> (T · k, C) */
export function weigh(b: Builder, x: Tensor, weights: Tensor, order: Tensor, name?: string): Tensor {
  return b.apply(weighOp, [x, weights, order], {}, name)[0]!
}
