import { attrsOf, elementwise, runs, source } from '../cuda-launch.ts'
import { clampedSwigluBackwardOp, clampedSwigluOp } from './op.ts'

const from = source(import.meta.url)

// the first tensor says how many columns there are: h's and dH's, half of those of the pairs
export const cuda = [
  runs(clampedSwigluOp, {
    launch: (step) => [elementwise(from, step, 'clamped_swiglu', [step.outputs[0]!, step.inputs[0]!], attrsOf(step))],
  }),
  runs(clampedSwigluBackwardOp, {
    launch(step) {
      const [dH, both] = step.inputs
      return [elementwise(from, step, 'clamped_swiglu_backward', [dH!, both!, step.outputs[0]!], attrsOf(step))]
    },
  }),
]
