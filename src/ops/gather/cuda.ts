import {
  attrsOf,
  bytesOf,
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  instance,
  kernel,
  runs,
  source,
  typeOf,
  vectorWidth,
} from '../cuda-launch.ts'
import { advanceOp, gatherOp, scatterOp, weightedScatterOp, zerosOp } from './op.ts'

const from = source(import.meta.url)

/** indices are carried like f32: the kernels only copy */
const asFloat = (t: CudaTensor): CudaTensor => (t.dtype === 'i32' ? { ...t, dtype: 'f32' } : t)

function move(step: CudaStep, name: string, rows: number, input: CudaTensor, output: CudaTensor) {
  const [x, y] = [asFloat(input), asFloat(output)]
  const [, positions, cursor, headCount] = step.inputs
  const width = vectorWidth([x, y])
  const args = [x.cols, x.at, x.stride, positions!.at, cursor!.at, headCount!.at, y.at, y.stride]
  return [kernel(from, `${name}_${instance(typeOf(step, x, y), width)}`, [rows, ceilDiv(x.cols, 256 * width)], 256, args)]
}

export const cuda = [
  runs(gatherOp, {
    launch: (step) => move(step, 'gather', step.outputs[0]!.rows, step.inputs[0]!, step.outputs[0]!),
  }),
  runs(scatterOp, {
    launch: (step) => move(step, 'scatter', step.inputs[0]!.rows, step.inputs[0]!, step.outputs[0]!),
  }),
  runs(weightedScatterOp, {
    launch(step) {
      const [d, positions, headCount, weights] = step.inputs
      const [dH] = step.outputs
      const width = vectorWidth([d!, dH!])
      const args = [d!.cols, d!.at, d!.stride, positions!.at, headCount!.at, weights?.at ?? 0n, dH!.at, dH!.stride]
      return [
        kernel(from, `weighted_scatter_${instance(typeOf(step, d!, dH!), width)}`, [dH!.rows, ceilDiv(d!.cols, 256 * width)], 256, args),
      ]
    },
  }),
  runs(zerosOp, {
    launch(step) {
      const [y] = step.outputs
      const size = bytesOf(y!.dtype)
      return [{ kind: 'zero', at: y!.at, rows: y!.rows, bytes: y!.cols * size, pitch: y!.stride * size }]
    },
  }),
  runs(advanceOp, {
    launch: (step) => [kernel(from, 'advance', [1], 1, [step.outputs[0]!.at, ...attrsOf(step)])],
  }),
]
