import { ceilDiv, instance, kernel, runs, source, typeOf, vectorWidth } from '../cuda-launch.ts'
import { cacheWriteOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(cacheWriteOp, {
    launch(step) {
      const [x, slots] = step.inputs
      const [cache] = step.outputs
      const width = vectorWidth([x!, cache!])
      const args = [x!.cols, x!.at, x!.stride, slots!.at, slots!.stride, cache!.at, cache!.stride]
      return [kernel(from, `cache_write_${instance(typeOf(step, x!, cache!), width)}`, [x!.rows, ceilDiv(x!.cols, 256 * width)], 256, args)]
    },
  }),
]
