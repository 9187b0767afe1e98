/** Rows into a cache, in f64. */
import { defines } from '../op.ts'
import { cacheWriteOp } from './op.ts'

export const references = [
  defines(cacheWriteOp, ([x, slots], [cache]) => {
    for (const [t, slot] of slots!.data.entries())
      if (slot >= 0) cache!.data.set(x!.data.subarray(t * x!.cols, (t + 1) * x!.cols), slot * cache!.cols)
  }),
]
