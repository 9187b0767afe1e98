/** The definition of `weight_grad`. */
import { defines } from '../op.ts'
import { weightGradOp } from './op.ts'

export const references = [
  defines(weightGradOp, ([dY, x], [dW], { alpha }) => {
    for (let t = 0; t < dY!.rows; t++) {
      for (let n = 0; n < dY!.cols; n++) {
        const d = alpha * dY!.data[t * dY!.cols + n]!
        for (let k = 0; k < x!.cols; k++) dW!.data[n * x!.cols + k]! += d * x!.data[t * x!.cols + k]!
      }
    }
  }),
]
