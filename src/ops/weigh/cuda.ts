import { type CudaStep, type CudaTensor, ceilDiv, instance, kernel, runs, source, storedType, typeOf, vectorWidth } from '../cuda-launch.ts'
import { weighBackwardOp, weighOp } from './op.ts'

const from = source(import.meta.url)

/** the weights (T, k) and where a sorted row finds its own */
function weightArgs(step: CudaStep, weights: CudaTensor, order: CudaTensor) {
  typeOf(step, weights)
  return [weights.at, storedType(step, weights), weights.stride, weights.cols, order.at, order.stride]
}

export const cuda = [
  runs(weighOp, {
    launch(step) {
      const [x, weights, order] = step.inputs
      const [y] = step.outputs
      const width = vectorWidth([x!, y!])
      const grid = [y!.rows, ceilDiv(y!.cols, 256 * width)]
      const args = [y!.cols, x!.at, x!.stride, ...weightArgs(step, weights!, order!), y!.at, y!.stride]
      return [kernel(from, `weigh_${instance(typeOf(step, x!, y!), width)}`, grid, 256, args)]
    },
  }),
  runs(weighBackwardOp, {
    launch(step) {
      const [dY, x, weights, order] = step.inputs
      const [dX, dWeights] = step.outputs
      const name = `weigh_backward_${instance(typeOf(step, dY!, x!, dX!), vectorWidth([dY!, x!, dX!]))}`
      const read = [dY!.at, dY!.stride, x!.at, x!.stride, ...weightArgs(step, weights!, order!)]
      return [kernel(from, name, [dX!.rows], 256, [dX!.cols, ...read, dX!.at, dX!.stride, dWeights!.at, dWeights!.stride])]
    },
  }),
]
