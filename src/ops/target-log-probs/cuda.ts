import {
  type CudaStep,
  type CudaTensor,
  ceilDiv,
  instance,
  type KernelArg,
  kernel,
  runs,
  source,
  typeOf,
  vectorWidth,
} from '../cuda-launch.ts'
import { targetLogProbsBackwardOp, targetLogProbsOp } from './op.ts'

const from = source(import.meta.url)

/** columns of a segment: of these alone depends how softmax is summed */
const SEGMENT = 16_384
/** bytes of struct Partial */
const PARTIAL = 16

const segmentsOf = ({ cols }: CudaTensor) => ceilDiv(cols, SEGMENT)

const scratch = ({ inputs: [logits] }: Pick<CudaStep, 'inputs'>) => logits!.rows * segmentsOf(logits!) * PARTIAL

/** `d`: where the gradient goes; `more`: arguments that come with it */
function launch(step: CudaStep, name: string, partials: bigint, d: CudaTensor[], more: KernelArg[]) {
  const [logits, start, target, weight, cursor, headCount, scores] = step.inputs.map((t) => t!)
  const suffix = instance(typeOf(step, logits!, ...d), vectorWidth([logits!, ...d]))
  const grid = [logits!.rows, segmentsOf(logits!)]
  const entries = [start!, target!, weight!, cursor!, headCount!].map((t) => t.at)
  const args = [logits!.cols, logits!.at, logits!.stride, ...entries]
  return [
    kernel(from, `softmax_segments_${suffix}`, grid, 256, [...args, SEGMENT, partials]),
    kernel(from, `${name}_${suffix}`, grid, 256, [...args, scores!.at, SEGMENT, partials, ...more]),
  ]
}

export const cuda = [
  runs(targetLogProbsOp, {
    scratch,
    launch: (step, partials) => launch(step, 'target_log_probs', partials, [], []),
  }),
  runs(targetLogProbsBackwardOp, {
    scratch,
    launch(step, partials) {
      const d = step.outputs[1]!
      return launch(step, 'target_log_probs_backward', partials, [d], [step.inputs[7]!.at, d.at, d.stride])
    },
  }),
]
