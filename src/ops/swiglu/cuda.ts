import { elementwise, runs, source } from '../cuda-launch.ts'
import { swigluBackwardOp, swigluOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(swigluOp, {
    launch: (step) => [elementwise(from, step, 'swiglu', [step.inputs[0]!, step.inputs[1]!, step.outputs[0]!])],
  }),
  runs(swigluBackwardOp, {
    launch(step) {
      const [dH, gate, up] = step.inputs
      return [elementwise(from, step, 'swiglu_backward', [dH!, gate!, up!, ...step.outputs])]
    },
  }),
]
