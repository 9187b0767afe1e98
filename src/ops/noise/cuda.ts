import { attrsOf, elementwise, runs, source } from '../cuda-launch.ts'
import { noiseOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(noiseOp, {
    launch(step) {
      const [x, ...others] = step.inputs
      return [elementwise(from, step, 'noise', [x!, step.outputs[0]!], [...others.map((t) => t!.at), ...attrsOf(step)])]
    },
  }),
]
