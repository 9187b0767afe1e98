/** The definition of `grouped_product` and `grouped_weight_grad`. */
import { plusDots, plusScaled, rowStarts } from '../dot.ts'
import { defines, type Matrix } from '../op.ts'
import { groupedProductOp, groupedWeightGradOp } from './op.ts'

/** [row, its expert] */
function* rowsOf(offsets: Matrix): Generator<[number, number]> {
  for (let e = 0; e + 1 < offsets.rows; e++) for (let s = offsets.data[e]!; s < offsets.data[e + 1]!; s++) yield [s, e]
}

export const references = [
  defines(groupedProductOp, ([offsets, ...parts], [y], { alpha, trans }) => {
    const N = y!.cols
    const sums = new Float64Array(N)
    for (const [s, e] of rowsOf(offsets!)) {
      sums.fill(0)
      for (let p = 0; p < parts.length; p += 2) {
        const x = parts[p]!
        const w = parts[p + 1]!
        const K = x.cols
        if (trans) plusScaled(sums, 0, x.data, s * K, w.data, rowStarts(K, N, e * K * N), N)
        else plusDots(sums, x.data, s * K, w.data, rowStarts(N, K, e * N * K), K)
      }
      for (let n = 0; n < N; n++) y!.data[s * N + n] = alpha * sums[n]!
    }
  }),
  defines(groupedWeightGradOp, ([offsets, dY, x], [dW], { alpha }) => {
    const [N, K] = [dY!.cols, x!.cols]
    for (const [s, e] of rowsOf(offsets!))
      for (let n = 0; n < N; n++)
        for (let k = 0; k < K; k++) dW!.data[(e * N + n) * K + k]! += alpha * dY!.data[s * N + n]! * x!.data[s * K + k]!
  }),
]
