import { attrsOf, elementwise, runs, source } from '../cuda-launch.ts'
import { scaleOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(scaleOp, {
    launch: (step) => [elementwise(from, step, 'scale', [step.inputs[0]!, step.outputs[0]!], attrsOf(step))],
  }),
]
