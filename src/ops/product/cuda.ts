/**
 * A sum of products is one cuBLASLt call a part, each adding to the one before; addend and bias ride in the first and the last. A weight that
 * is not of x's type (NF4, the f32 matrices of an adapter) is brought into scratch just ahead of its product.
 */
import { materialise, materialisedBytes } from '../cast/cuda.ts'
import { type CudaStep, type CudaTensor, type Launch, runs } from '../cuda-launch.ts'
import { productOp } from './op.ts'

function parts(step: CudaStep): { x: CudaTensor; w: CudaTensor }[] {
  const list = []
  for (let i = 2; i < step.inputs.length; i += 2) list.push({ x: step.inputs[i]!, w: step.inputs[i + 1]! })
  return list
}

/** the bias lies before the weight in scratch */
const biasBytes = (step: CudaStep) => (step.inputs[1] ? materialisedBytes(step.inputs[1], step.outputs[0]!.dtype) : 0)

export const cuda = [
  runs(productOp, {
    scratch: (step) => biasBytes(step) + Math.max(...parts(step).map(({ x, w }) => materialisedBytes(w, x.dtype))),
    launch(step, scratch) {
      const [addend, biasInput] = step.inputs
      const y = step.outputs[0]!
      const bias = biasInput ? materialise(step, biasInput, y.dtype, scratch) : null
      const slot = scratch + BigInt(biasBytes(step))
      const list = parts(step)
      const launches: Launch[] = [...(bias?.launch ?? [])]
      list.forEach(({ x, w }, p) => {
        const made = materialise(step, w, x.dtype, slot)
        launches.push(...made.launch, {
          kind: 'matmul',
          a: x,
          b: made.w,
          transA: false,
          transB: !step.attrs.trans,
          alpha: step.attrs.alpha,
          c: p > 0 ? y : (addend ?? null),
          bias: p === list.length - 1 ? (bias?.w ?? null) : null,
          y,
        })
      })
      return launches
    },
  }),
]
