/** Rows into a cache, in f64. */
import type { Reference } from '../op.ts'

export const reference: Readonly<Record<string, Reference>> = {
  cache_write: ([x, start], [cache]) => {
    cache!.data.set(x!.data, start!.data[0]! * cache!.cols)
  },
}
