/** The definition of `weigh` and its backward. */
import { defines } from '../op.ts'
import { weighBackwardOp, weighOp } from './op.ts'

export const references = [
  defines(weighOp, ([x, weights, order], [y]) => {
    const C = x!.cols
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = weights!.data[order!.data[Math.floor(i / C)]!]! * x!.data[i]!
  }),
  defines(weighBackwardOp, ([dY, x, weights, order], [dX, dWeights]) => {
    const C = x!.cols
    dWeights!.data.fill(0)
    for (let i = 0; i < dX!.data.length; i++) {
      const slot = order!.data[Math.floor(i / C)]!
      dX!.data[i] = weights!.data[slot]! * dY!.data[i]!
      dWeights!.data[slot]! += dY!.data[i]! * x!.data[i]!
    }
  }),
]
