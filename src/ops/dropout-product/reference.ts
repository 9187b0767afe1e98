/** Their definitions: the mask of dropout's, the sums of a product's. */
import { channelBits, tokenKey } from '../dropout/op.ts'
import { defines, type Matrix } from '../op.ts'
import { dropoutInputGradOp, dropoutProductOp, dropoutWeightGradOp } from './op.ts'

type Where = readonly (Matrix | null)[]

/** (T, C): 1 / (1 − p) where a channel of a token is kept, else 0 */
function maskOf(rows: number, cols: number, [row, depth, stepInts]: Where, { p, module }: { p: number; module: number }): Float64Array {
  const [seed, step] = stepInts!.data
  const mask = new Float64Array(rows * cols)
  for (let t = 0; t < rows; t++) {
    const key = tokenKey(seed!, step!, row!.data[t]!, depth!.data[t]!, module)
    for (let c = 0; c < cols; c++) mask[t * cols + c] = channelBits(key, c) >= p * 2 ** 32 ? 1 / (1 - p) : 0
  }
  return mask
}

export const references = [
  defines(dropoutProductOp, ([x, w, ...where], [u], attrs) => {
    const { rows, cols } = x!
    const mask = maskOf(rows, cols, where, attrs)
    for (let t = 0; t < rows; t++)
      for (let n = 0; n < w!.rows; n++) {
        let sum = 0
        for (let c = 0; c < cols; c++) sum += mask[t * cols + c]! * x!.data[t * cols + c]! * w!.data[n * cols + c]!
        u!.data[t * w!.rows + n] = attrs.alpha * sum
      }
  }),
  defines(dropoutInputGradOp, ([addend, dU, w, ...where], [dX], attrs) => {
    const { rows, cols: n } = dU!
    const { cols } = w!
    const mask = maskOf(rows, cols, where, attrs)
    for (let t = 0; t < rows; t++)
      for (let c = 0; c < cols; c++) {
        let sum = 0
        for (let i = 0; i < n; i++) sum += dU!.data[t * n + i]! * w!.data[i * cols + c]!
        dX!.data[t * cols + c] = (addend ? addend.data[t * cols + c]! : 0) + attrs.alpha * mask[t * cols + c]! * sum
      }
  }),
  defines(dropoutWeightGradOp, ([dU, x, , ...where], [dW], attrs) => {
    const { rows, cols } = x!
    const mask = maskOf(rows, cols, where, attrs)
    for (let n = 0; n < dU!.cols; n++)
      for (let c = 0; c < cols; c++) {
        let sum = 0
        for (let t = 0; t < rows; t++) sum += dU!.data[t * dU!.cols + n]! * mask[t * cols + c]! * x!.data[t * cols + c]!
        dW!.data[n * cols + c]! += attrs.alpha * sum
      }
  }),
]
