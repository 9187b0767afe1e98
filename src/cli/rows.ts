/** The rows that the options of a verb name. */
import type { Dataset } from '../data/dataset.ts'
import { loadRows } from '../data/load.ts'
import { option, SaqrError, say } from '../error.ts'
import { isFile } from '../hub/files.ts'
import { progressLine } from '../hub/progress.ts'
import type { SftOptions } from '../train/options/sft.ts'
import type { Io } from './verb.ts'

export interface Rows {
  trainDataset: Dataset
  evalDataset?: Dataset
}

/** @throws SaqrError as `loadRows`; OPTION_INVALID where rows to evaluate on are asked for and not named */
export async function rowsOf(o: SftOptions, { signal, err }: Io): Promise<Rows> {
  const request = { signal, onProgress: progressLine(err) }
  const trainDataset = await loadRows(o.datasetName!, { config: o.datasetConfig ?? undefined, split: o.datasetTrainSplit, ...request })
  if (o.evalStrategy === 'no' && !o.evalOnStart) return { trainDataset }
  // a file is one split, train: a slice of it may be kept apart
  if (o.evalDatasetName === null && isFile(o.datasetName!) && !/^train\[/.test(o.datasetTestSplit))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option(o.evalStrategy === 'no' ? 'evalOnStart' : 'evalStrategy')} needs rows that are not trained on, and a file has no split ${o.datasetTestSplit}: name some with ${option('evalDatasetName')}, or a slice of the file with ${option('datasetTestSplit')}, such as train[90%:]`,
    )
  const evalDataset =
    o.evalDatasetName === null
      ? await loadRows(o.datasetName!, { config: o.datasetConfig ?? undefined, split: o.datasetTestSplit, ...request })
      : await loadRows(o.evalDatasetName, { split: o.datasetTestSplit, ...request })
  return { trainDataset, evalDataset }
}
