/** A low-rank part written into a weight on every core, whatever device it was trained on: the bits that adapters/low-rank.ts defines. */
import type { AddLowRank } from '../../adapters/low-rank.ts'
import { nativeLibrary } from './library.ts'
import { processors, usualThreads } from './processors.ts'

export const nativeAddLowRank: AddLowRank = (w, b, a, scale, cols) => {
  nativeLibrary().native.addLowRank(w, b, a, scale, w.length / cols, cols, a.length / cols, usualThreads(processors()))
  return w
}
