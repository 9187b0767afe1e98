/** The definition of `product`. */
import { plusDot } from '../dot.ts'
import { defines } from '../op.ts'
import { productOp } from './op.ts'

export const references = [
  defines(productOp, ([addend, bias, ...parts], [y], { alpha, trans }) => {
    const { rows, cols } = y!
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < cols; j++) {
        let sum = 0
        for (let p = 0; p < parts.length; p += 2) {
          const x = parts[p]!
          const w = parts[p + 1]!
          sum = plusDot(sum, x.data, i * x.cols, w.data, trans ? j : j * w.cols, trans ? w.cols : 1, x.cols)
        }
        y!.data[i * cols + j] = alpha * sum + (bias?.data[j] ?? 0) + (addend?.data[i * cols + j] ?? 0)
      }
    }
  }),
]
