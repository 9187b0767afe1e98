import { type CudaOp, elementwise, f32, source } from '../cuda-launch.ts'

const from = source(import.meta.url)

export const dropoutCuda: CudaOp = {
  launch(step) {
    const [x, row, depth, stepInts] = step.inputs
    const { p, module } = step.attrs as { p: number; module: number }
    const args = [row!.at, depth!.at, stepInts!.at, module, Math.ceil(p * 2 ** 32), f32(1 / (1 - p))]
    return [elementwise(from, step, 'dropout', [x!, step.outputs[0]!], args)]
  },
}
