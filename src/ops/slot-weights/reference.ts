/** The definition of `slot_weights` and its backward. */
import { defines } from '../op.ts'
import { slotWeightsBackwardOp, slotWeightsOp } from './op.ts'

export const references = [
  defines(slotWeightsOp, ([weights, order], [y]) => {
    y!.data.fill(0)
    for (let s = 0; s < y!.rows; s++) y!.data[s * y!.cols] = weights ? weights.data[order!.data[s]!]! : 1
  }),
  defines(slotWeightsBackwardOp, ([dY, , order], [dWeights]) => {
    dWeights!.data.fill(0)
    for (let s = 0; s < dY!.rows; s++) dWeights!.data[order!.data[s]!]! += dY!.data[s * dY!.cols]!
  }),
]
