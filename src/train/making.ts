/** How a trainer's rows are prepared, beside what becomes of each. */
import type { Dataset } from '../data/dataset.ts'
import type { Making } from '../data/prepare.ts'
import { runnableThreads } from '../devices/threads.ts'
import type { CommonOptions } from './options/common-config.ts'

/** Threads beyond these have nothing to do: one reads the rows and keeps what is made of them. */
const MOST = 8

/** Each thread has a tokenizer of its own: rows that stay on disk are prepared in as little memory as can be, unless more is asked for. */
export function makingOf({ cacheRows, datasetNumProc }: Pick<CommonOptions, 'cacheRows' | 'datasetNumProc'>, dataset: Dataset): Making {
  const usual = () => (dataset.isStreamed ? 1 : Math.min(MOST, runnableThreads()))
  return { cache: cacheRows, threads: datasetNumProc ?? usual() }
}
