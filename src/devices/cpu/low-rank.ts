/** A low-rank part written into a weight on every core, whatever device it was trained on: the bits that adapters/low-rank.ts defines. */
import type { AddLowRank } from '../../adapters/low-rank.ts'
import { runnableThreads } from '../threads.ts'
import { nativeLibrary } from './library.ts'

export const nativeAddLowRank: AddLowRank = (w, b, a, scale, cols) => {
  nativeLibrary().native.addLowRank(w, b, a, scale, w.length / cols, cols, a.length / cols, runnableThreads())
  return w
}
