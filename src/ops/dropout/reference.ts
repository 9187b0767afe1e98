/** Dropout by its definition: one key a token, one hash a channel. */
import { defines } from '../op.ts'
import { channelBits, dropoutOp, tokenKey } from './op.ts'

export const references = [
  defines(dropoutOp, ([x, row, depth, stepInts], [y], attrs) => {
    const [seed, step] = stepInts!.data
    for (let t = 0; t < x!.rows; t++) {
      const key = tokenKey(seed!, step!, row!.data[t]!, depth!.data[t]!, attrs.module)
      for (let c = 0; c < x!.cols; c++) {
        const kept = channelBits(key, c) >= attrs.p * 2 ** 32
        y!.data[t * x!.cols + c] = kept ? x!.data[t * x!.cols + c]! / (1 - attrs.p) : 0
      }
    }
  }),
]
