/** The definition of `grouped_product` and `grouped_weight_grad`. */
import { defines, type Matrix } from '../op.ts'
import { groupedProductOp, groupedWeightGradOp } from './op.ts'

/** [row, its expert] */
function* rowsOf(offsets: Matrix): Generator<[number, number]> {
  for (let e = 0; e + 1 < offsets.rows; e++) for (let s = offsets.data[e]!; s < offsets.data[e + 1]!; s++) yield [s, e]
}

export const references = [
  defines(groupedProductOp, ([offsets, ...parts], [y], { alpha, trans }) => {
    const N = y!.cols
    for (const [s, e] of rowsOf(offsets!)) {
      for (let n = 0; n < N; n++) {
        let sum = 0
        for (let p = 0; p < parts.length; p += 2) {
          const x = parts[p]!
          const w = parts[p + 1]!
          for (let k = 0; k < x.cols; k++)
            sum += x.data[s * x.cols + k]! * w.data[trans ? (e * x.cols + k) * N + n : (e * N + n) * x.cols + k]!
        }
        y!.data[s * N + n] = alpha * sum
      }
    }
  }),
  defines(groupedWeightGradOp, ([offsets, dY, x], [dW], { alpha }) => {
    const [N, K] = [dY!.cols, x!.cols]
    for (const [s, e] of rowsOf(offsets!))
      for (let n = 0; n < N; n++)
        for (let k = 0; k < K; k++) dW!.data[(e * N + n) * K + k]! += alpha * dY!.data[s * N + n]! * x!.data[s * K + k]!
  }),
]
