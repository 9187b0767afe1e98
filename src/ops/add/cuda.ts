import { elementwise, runs, source } from '../cuda-launch.ts'
import { addOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(addOp, {
    launch(step) {
      const [a, b] = step.inputs
      return [elementwise(from, step, 'add', [a!, b!, step.outputs[0]!])]
    },
  }),
]
