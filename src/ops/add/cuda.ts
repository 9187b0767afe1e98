import { type CudaOp, elementwise, source } from '../cuda-launch.ts'

const from = source(import.meta.url)

export const addCuda: CudaOp = {
  launch(step) {
    const [a, b] = step.inputs
    return [elementwise(from, step, 'add', [a!, b!, step.outputs[0]!])]
  },
}
