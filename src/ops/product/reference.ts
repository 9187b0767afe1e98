/** The definition of `product`. */
import { plusDots, plusScaled, rowStarts } from '../dot.ts'
import { defines } from '../op.ts'
import { productOp } from './op.ts'

export const references = [
  defines(productOp, ([addend, bias, ...parts], [y], { alpha, trans }) => {
    const { rows, cols } = y!
    const sums = new Float64Array(cols)
    const starts = parts.map((w, p) => (p % 2 ? rowStarts(w!.rows, w!.cols) : null))
    for (let i = 0; i < rows; i++) {
      sums.fill(0)
      for (let p = 0; p < parts.length; p += 2) {
        const x = parts[p]!
        const w = parts[p + 1]!
        if (trans) plusScaled(sums, 0, x.data, i * x.cols, w.data, starts[p + 1]!, cols)
        else plusDots(sums, x.data, i * x.cols, w.data, starts[p + 1]!, x.cols)
      }
      for (let j = 0; j < cols; j++) {
        y!.data[i * cols + j] = alpha * sums[j]! + (bias?.data[j] ?? 0) + (addend?.data[i * cols + j] ?? 0)
      }
    }
  }),
]
