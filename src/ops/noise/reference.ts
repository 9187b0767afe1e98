/** The definition of `noise`: one key a token and one hash a channel, as dropout's. */
import { channelBits, tokenKey } from '../dropout/op.ts'
import { defines } from '../op.ts'
import { noiseOf, noiseOp } from './op.ts'

export const references = [
  defines(noiseOp, ([x, row, depth, visibleUntil, stepInts], [y], { alpha, module }) => {
    const [seed, step] = stepInts!.data
    for (let t = 0; t < x!.rows; t++) {
      const key = tokenKey(seed!, step!, row!.data[t]!, depth!.data[t]!, module)
      const length = depth!.data[t]! + visibleUntil!.data[t]! - t
      const size = alpha / Math.sqrt(length * x!.cols)
      for (let c = 0; c < x!.cols; c++) y!.data[t * x!.cols + c] = x!.data[t * x!.cols + c]! + size * noiseOf(channelBits(key, c))
    }
  }),
]
