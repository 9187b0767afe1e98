import { instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { logitStatsOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(logitStatsOp, {
    launch(step) {
      const [logits, cursor, headCount] = step.inputs
      const stats = step.outputs[0]!
      const name = `logit_stats_${instance(typeOf(step, logits!), vectorWidth([logits!]))}`
      return [
        kernel(from, name, [logits!.rows], 256, [
          logits!.cols,
          logits!.at,
          logits!.stride,
          cursor!.at,
          headCount!.at,
          stats.at,
          stats.stride,
        ]),
      ]
    },
  }),
]
