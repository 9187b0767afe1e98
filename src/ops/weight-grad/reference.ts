/** The definition of `weight_grad`. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  weight_grad([dY, x], [dW], { alpha }) {
    for (let t = 0; t < dY!.rows; t++) {
      for (let n = 0; n < dY!.cols; n++) {
        const d = alpha! * dY!.data[t * dY!.cols + n]!
        for (let k = 0; k < x!.cols; k++) dW!.data[n * x!.cols + k]! += d * x!.data[t * x!.cols + k]!
      }
    }
  },
}
