import { attrsOf, type CudaTensor, ceilDiv, kernel, runs, source, storedType, typeOf } from '../cuda-launch.ts'
import { embedGradOp, embedOp } from './op.ts'

const from = source(import.meta.url)

/** distance of two ids and of two channels in W (V, C), or (C, V) when `trans` */
const strides = (w: CudaTensor, trans: boolean) => (trans ? [1, w.stride] : [w.stride, 1])

export const cuda = [
  runs(embedOp, {
    launch(step) {
      const [ids, w] = step.inputs
      const [x] = step.outputs
      const args = [x!.rows, x!.cols, ids!.at, w!.at, storedType(step, w!), ...strides(w!, step.attrs.trans), x!.at, x!.stride]
      return [kernel(from, `embed_${typeOf(step, x!)}`, [x!.rows, ceilDiv(x!.cols, 256)], 256, args)]
    },
  }),
  runs(embedGradOp, {
    launch(step) {
      const [ids, dX] = step.inputs
      const [dW] = step.outputs
      const args = [dX!.rows, dX!.cols, ids!.at, dX!.at, dX!.stride, dW!.at, ...strides(dW!, step.attrs.trans), ...attrsOf(step)]
      return [kernel(from, `embed_grad_${typeOf(step, dX!)}`, [dX!.rows, ceilDiv(dX!.cols, 256)], 256, args)]
    },
  }),
]
