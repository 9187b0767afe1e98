import { ceilDiv, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { slotWeightsBackwardOp, slotWeightsOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(slotWeightsOp, {
    launch(step) {
      const [weights, order] = step.inputs
      const [y] = step.outputs
      const types = `${typeOf(step, y!)}_${weights ? typeOf(step, weights) : 'f32'}`
      const args = [
        y!.rows,
        y!.cols,
        weights?.cols ?? 1,
        weights?.at ?? 0n,
        weights?.stride ?? 0,
        order!.at,
        order!.stride,
        y!.at,
        y!.stride,
      ]
      return [kernel(from, `slot_weights_${types}`, [ceilDiv(y!.rows, 256)], 256, args)]
    },
  }),
  runs(slotWeightsBackwardOp, {
    launch(step) {
      const [dY, , order] = step.inputs
      const [dWeights] = step.outputs
      const types = `${typeOf(step, dY!)}_${typeOf(step, dWeights!)}`
      const args = [dY!.rows, dWeights!.cols, dY!.at, dY!.stride, order!.at, order!.stride, dWeights!.at, dWeights!.stride]
      return [kernel(from, `slot_weights_backward_${types}`, [ceilDiv(dY!.rows, 256)], 256, args)]
    },
  }),
]
