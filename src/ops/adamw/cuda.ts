import { type CudaOp, type CudaStep, ceilDiv, f32, f64, type KernelArg, kernel, source } from '../cuda-launch.ts'

const from = source(import.meta.url)

/** the struct Options of cuda.cu after β1 and β2 in f64 */
function options(step: CudaStep): KernelArg[] {
  const { beta1, beta2, eps, weightDecay } = step.attrs as { beta1: number; beta2: number; eps: number; weightDecay: number }
  return [f64(beta1), f64(beta2), f32(beta1), f32(1 - beta1), f32(beta2), f32(1 - beta2), f32(eps), f32(weightDecay)]
}

const args = (step: CudaStep) => [step.inputs[0]!.cols, ...step.inputs.map((t) => t!.at), ...options(step)]

export const adamwCuda: CudaOp = {
  launch: (step) => [kernel(from, 'adamw', [Math.min(ceilDiv(step.inputs[0]!.cols, 256), 8192)], 256, args(step))],
}

export const adamw8bitCuda: CudaOp = {
  launch: (step) => [kernel(from, 'adamw_8bit', [ceilDiv(step.inputs[0]!.cols, 256)], 256, args(step))],
}
