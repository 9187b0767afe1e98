import { instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { likeliestOp } from './op.ts'

const from = source(import.meta.url)
/** of the kernel's blocks */
const THREADS = 512

export const cuda = [
  runs(likeliestOp, {
    launch(step) {
      const [logits] = step.inputs
      const [ids] = step.outputs
      const name = `likeliest_${instance(typeOf(step, logits!), vectorWidth([logits!]))}`
      return [kernel(from, name, [logits!.rows], THREADS, [logits!.cols, logits!.at, logits!.stride, ids!.at, ids!.stride])]
    },
  }),
]
