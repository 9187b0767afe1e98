/** Rows into a cache, in f64. */
import { defines } from '../op.ts'
import { cacheWriteOp } from './op.ts'

export const references = [
  defines(cacheWriteOp, ([x, start], [cache]) => {
    cache!.data.set(x!.data, start!.data[0]! * cache!.cols)
  }),
]
