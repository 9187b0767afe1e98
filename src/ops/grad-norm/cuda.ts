import { kernel, runs, source } from '../cuda-launch.ts'
import { gradNormOp } from './op.ts'

const from = source(import.meta.url)

/** blocks that share the sum, on every card: the order of a sum must not depend on the card's size */
const SHARES = 1024

export const cuda = [
  runs(gradNormOp, {
    scratch: () => SHARES * 8,
    launch(step, scratch) {
      const [g] = step.inputs
      return [
        kernel(from, 'grad_norm_shares', [SHARES], 256, [g!.rows * g!.cols, g!.at, scratch]),
        kernel(from, 'grad_norm_total', [1], 256, [SHARES, scratch, step.outputs[0]!.at]),
      ]
    },
  }),
]
