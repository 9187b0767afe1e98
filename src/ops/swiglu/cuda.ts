import { type CudaOp, elementwise, source } from '../cuda-launch.ts'

const from = source(import.meta.url)

export const swigluCuda: CudaOp = {
  launch: (step) => [elementwise(from, step, 'swiglu', [step.inputs[0]!, step.inputs[1]!, step.outputs[0]!])],
}

export const swigluBackwardCuda: CudaOp = {
  launch(step) {
    const [dH, gate, up] = step.inputs
    return [elementwise(from, step, 'swiglu_backward', [dH!, gate!, up!, ...step.outputs])]
  },
}
