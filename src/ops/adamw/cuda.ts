import { attrsOf, type CudaStep, ceilDiv, f32, f64, type KernelArg, kernel, runs, source } from '../cuda-launch.ts'
import { adamw8bitOp, adamwOp } from './op.ts'

const from = source(import.meta.url)

type AdamWStep = CudaStep<typeof adamwOp.attrs>

/** βs in f64, and what is left of them to 1 in f32: rounded once, here */
function betas({ attrs: { beta1, beta2 } }: AdamWStep): KernelArg[] {
  return [f64(beta1), f64(beta2), f32(1 - beta1), f32(1 - beta2)]
}

const args = (step: AdamWStep) => [step.inputs[0]!.cols, ...step.inputs.map((t) => t!.at), ...betas(step), ...attrsOf(step)]

export const cuda = [
  runs(adamwOp, {
    launch: (step) => [kernel(from, 'adamw', [Math.min(ceilDiv(step.inputs[0]!.cols, 256), 8192)], 256, args(step))],
  }),
  runs(adamw8bitOp, {
    launch: (step) => [kernel(from, 'adamw_8bit', [ceilDiv(step.inputs[0]!.cols, 256)], 256, args(step))],
  }),
]
