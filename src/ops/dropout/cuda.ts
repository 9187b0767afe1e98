import { attrsOf, elementwise, f32, runs, source } from '../cuda-launch.ts'
import { dropoutOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(dropoutOp, {
    launch(step) {
      const [x, row, depth, stepInts] = step.inputs
      const { p } = step.attrs
      const args = [row!.at, depth!.at, stepInts!.at, Math.ceil(p * 2 ** 32), f32(1 / (1 - p)), ...attrsOf(step)]
      return [elementwise(from, step, 'dropout', [x!, step.outputs[0]!], args)]
    },
  }),
]
