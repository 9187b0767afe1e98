/** The definition of `grouped_product` and `grouped_weight_grad`. */
import { plusDot } from '../dot.ts'
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
          const K = x.cols
          sum = plusDot(sum, x.data, s * K, w.data, trans ? e * K * N + n : (e * N + n) * K, trans ? N : 1, K)
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
