/** How a trainer's rows are prepared, beside what becomes of each. */
import type { Making } from '../data/prepare.ts'
import { runnableThreads } from '../devices/threads.ts'
import type { CommonOptions } from './options/common-config.ts'

/** Threads at the most: one reads the rows and keeps what is made of them. Not measured. */
const MOST = 8

/**
 * One thread, unless more are asked for: no run has shown that several are faster (bench/results/rows.txt). Each has a tokenizer of its own, and
 * configs of TRL's that say 16 or 64 mean processes of a larger machine: there are no more than can run here.
 */
export function makingOf({ cacheRows, datasetNumProc }: Pick<CommonOptions, 'cacheRows' | 'datasetNumProc'>): Making {
  const asked = datasetNumProc ?? 1
  const threads = Math.min(asked, MOST, runnableThreads())
  if (threads === asked) return { cache: cacheRows, threads }
  const note = `rows are prepared by ${threads} ${threads === 1 ? 'thread' : 'threads'} and not by ${asked}: no more than processors, and than ${MOST}, are started, as each has a tokenizer in memory`
  return { cache: cacheRows, threads, note }
}
