import { type CudaOp, elementwise, f32, source } from '../cuda-launch.ts'

const from = source(import.meta.url)

export const scaleCuda: CudaOp = {
  launch: (step) => [elementwise(from, step, 'scale', [step.inputs[0]!, step.outputs[0]!], [f32(step.attrs.factor!)])],
}
