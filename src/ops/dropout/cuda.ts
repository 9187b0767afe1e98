import { attrsOf, type CudaStep, type CudaTensor, elementwise, f32, type KernelLaunch, runs, source } from '../cuda-launch.ts'
import { dropoutOp, slotDropoutOp } from './op.ts'

const from = source(import.meta.url)

/** what is at least this is kept, and by what it is multiplied */
const kept = (p: number) => [Math.ceil(p * 2 ** 32), f32(1 / (1 - p))] as const

/** y = dropout(x); `where`: row, depth, stepInts */
export function dropInto(
  step: CudaStep,
  x: CudaTensor,
  y: CudaTensor,
  [row, depth, stepInts]: readonly (CudaTensor | null)[],
  { p, module }: { p: number; module: number },
): KernelLaunch {
  // the struct dropout_attrs at the end
  const args = [row!.at, depth!.at, stepInts!.at, ...kept(p), f32(p), module]
  return elementwise(from, step, 'dropout', [x, y], args)
}

export const cuda = [
  runs(dropoutOp, {
    launch: (step) => [dropInto(step, step.inputs[0]!, step.outputs[0]!, step.inputs.slice(1), step.attrs)],
  }),
  runs(slotDropoutOp, {
    launch(step) {
      const [x, order, experts, row, depth, stepInts] = step.inputs
      const slots = [order!.at, order!.stride, experts!.at, experts!.cols, experts!.stride]
      const args = [...slots, row!.at, depth!.at, stepInts!.at, ...kept(step.attrs.p), ...attrsOf(step)]
      return [elementwise(from, step, 'slot_dropout', [x!, step.outputs[0]!], args)]
    },
  }),
]
