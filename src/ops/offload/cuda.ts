/** Copies by the card's copy engines, on a stream of their own. */
import { bytesOf, type CopyLaunch, type CudaTensor, runs, typeOf } from '../cuda-launch.ts'
import { fromHostOp, toHostOp } from './op.ts'

function copy(x: CudaTensor, y: CudaTensor): CopyLaunch {
  const size = bytesOf(x.dtype)
  return { kind: 'copy', from: x.at, to: y.at, rows: x.rows, bytes: x.cols * size, pitch: { from: x.stride * size, to: y.stride * size } }
}

export const cuda = [toHostOp, fromHostOp].map((op) =>
  runs(op, {
    launch(step) {
      const [x, y] = [step.inputs[0]!, step.outputs[0]!]
      typeOf(step, x, y)
      return [copy(x, y)]
    },
  }),
)
