import { attrsOf, elementwise, runs, source } from '../cuda-launch.ts'
import { softCapBackwardOp, softCapOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(softCapOp, {
    launch: (step) => [elementwise(from, step, 'soft_cap', [step.inputs[0]!, step.outputs[0]!], attrsOf(step))],
  }),
  runs(softCapBackwardOp, {
    launch(step) {
      const [dY, y] = step.inputs
      return [elementwise(from, step, 'soft_cap_backward', [dY!, y!, step.outputs[0]!], attrsOf(step))]
    },
  }),
]
