import { elementwise, runs, source } from '../cuda-launch.ts'
import { gegluBackwardOp, gegluOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(gegluOp, {
    launch: (step) => [elementwise(from, step, 'geglu', [step.inputs[0]!, step.inputs[1]!, step.outputs[0]!])],
  }),
  runs(gegluBackwardOp, {
    launch(step) {
      const [dH, gate, up] = step.inputs
      return [elementwise(from, step, 'geglu_backward', [dH!, gate!, up!, ...step.outputs])]
    },
  }),
]
