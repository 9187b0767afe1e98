/** The definition of `product`. */
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
          for (let k = 0; k < x.cols; k++) sum += x.data[i * x.cols + k]! * w.data[trans ? k * w.cols + j : j * w.cols + k]!
        }
        y!.data[i * cols + j] = alpha * sum + (bias?.data[j] ?? 0) + (addend?.data[i * cols + j] ?? 0)
      }
    }
  }),
]
