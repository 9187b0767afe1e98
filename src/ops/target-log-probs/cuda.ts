import { instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { targetLogProbsBackwardOp, targetLogProbsOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(targetLogProbsOp, {
    launch(step) {
      const [logits, ...entries] = step.inputs
      const name = `target_log_probs_${instance(typeOf(step, logits!), vectorWidth([logits!]))}`
      return [kernel(from, name, [logits!.rows], 256, [logits!.cols, logits!.at, logits!.stride, ...entries.slice(0, 6).map((t) => t!.at)])]
    },
  }),
  runs(targetLogProbsBackwardOp, {
    launch(step) {
      const [logits, ...entries] = step.inputs
      const d = step.outputs[1]!
      const name = `target_log_probs_backward_${instance(typeOf(step, logits!, d), vectorWidth([logits!, d]))}`
      const args = [logits!.cols, logits!.at, logits!.stride, ...entries.slice(0, 7).map((t) => t!.at), d.at, d.stride]
      return [kernel(from, name, [logits!.rows], 256, args)]
    },
  }),
]
