import { attrsOf, type CudaStep, type CudaTensor, ceilDiv, instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { expandKvBackwardOp, expandKvOp } from './op.ts'

const from = source(import.meta.url)

type Step = CudaStep<typeof expandKvOp.attrs>

/** `wide` is v or dV, whose heads say how many there are */
function launch(name: string, step: Step, tensors: readonly CudaTensor[], wide: CudaTensor, sharedCols: number) {
  const { own, valueDim } = step.attrs
  const heads = wide.cols / valueDim
  const most = vectorWidth(tensors, heads * (own + sharedCols + valueDim))
  const width = [own, valueDim, sharedCols].every((n) => n % most === 0) ? most : 1
  const cols = heads * (own + sharedCols + valueDim)
  const args = [heads, sharedCols, ...attrsOf(step), ...tensors.flatMap((t) => [t.at, t.stride])]
  return [kernel(from, `${name}_${instance(typeOf(step, ...tensors), width)}`, [wide.rows, ceilDiv(cols, 256 * width)], 256, args)]
}

export const cuda = [
  runs(expandKvOp, {
    launch(step) {
      const [kv, shared] = step.inputs as CudaTensor[]
      const [k, v] = step.outputs
      return launch('expand_kv', step, [kv!, shared!, k!, v!], v!, shared!.cols)
    },
  }),
  runs(expandKvBackwardOp, {
    launch(step) {
      const [dK, dV] = step.inputs as CudaTensor[]
      const [dKv, dShared] = step.outputs
      return launch('expand_kv_backward', step, [dK!, dV!, dKv!, dShared!], dV!, dShared!.cols)
    },
  }),
]
