import { type CudaStep, type CudaTensor, elementwise, f32, type KernelLaunch, runs, source } from '../cuda-launch.ts'
import { dropoutOp } from './op.ts'

const from = source(import.meta.url)

/** y = dropout(x); `where`: row, depth, stepInts */
export function dropInto(
  step: CudaStep,
  x: CudaTensor,
  y: CudaTensor,
  [row, depth, stepInts]: readonly (CudaTensor | null)[],
  { p, module }: { p: number; module: number },
): KernelLaunch {
  // the struct dropout_attrs at the end
  const args = [row!.at, depth!.at, stepInts!.at, Math.ceil(p * 2 ** 32), f32(1 / (1 - p)), f32(p), module]
  return elementwise(from, step, 'dropout', [x, y], args)
}

export const cuda = [
  runs(dropoutOp, {
    launch: (step) => [dropInto(step, step.inputs[0]!, step.outputs[0]!, step.inputs.slice(1), step.attrs)],
  }),
]
