/** The definition of `product`. */
import { plusProducts, plusScaled, rowStarts } from '../dot.ts'
import { defines } from '../op.ts'
import { productOp } from './op.ts'

export const references = [
  defines(productOp, ([addend, bias, ...parts], [y], { alpha, trans }) => {
    const { rows, cols } = y!
    const sums = new Float64Array(rows * cols)
    for (let p = 0; p < parts.length; p += 2) {
      const x = parts[p]!
      const w = parts[p + 1]!
      const starts = rowStarts(w.rows, w.cols)
      if (!trans) plusProducts(sums, rows, x.data, w.data, starts, x.cols)
      else for (let i = 0; i < rows; i++) plusScaled(sums, i * cols, x.data, i * x.cols, w.data, starts, cols)
    }
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < cols; j++) {
        y!.data[i * cols + j] = alpha * sums[i * cols + j]! + (bias?.data[j] ?? 0) + (addend?.data[i * cols + j] ?? 0)
      }
    }
  }),
]
