/** The rows that the options of a verb name. */
import type { Dataset } from '../data/dataset.ts'
import { loadRows } from '../data/load.ts'
import { loadMixture, type MixtureRequest, mixtureOf } from '../data/load-mixture.ts'
import { Room } from '../data/room.ts'
import { option, SaqrError, say } from '../error.ts'
import { isFile } from '../hub/files.ts'
import { isPattern } from '../hub/matching.ts'
import { shownOf } from '../hub/progress.ts'
import type { VerbOptions } from '../train/options/common.ts'
import type { Io } from './verb.ts'

export interface Rows {
  trainDataset: Dataset
  evalDataset?: Dataset
}

/** @throws SaqrError as `loadRows`; OPTION_INVALID where rows to evaluate on are asked for and not named */
export async function rowsOf(o: VerbOptions, { signal, err }: Io): Promise<Rows> {
  // what is trained on and what is evaluated on are in memory together
  const shown = { signal, ...shownOf(err), room: new Room() }
  const request = { ...shown, remembered: true }
  const mixture = o.datasets.length > 0 ? await mixed(o, shown) : null
  const streaming = o.datasetStreaming
  const trainDataset =
    mixture?.train ??
    (await loadRows(o.datasetName!, { config: o.datasetConfig ?? undefined, split: o.datasetTrainSplit, streaming, ...request }))
  if (o.evalStrategy === 'no' && !o.evalOnStart) return { trainDataset }
  const asked = option(o.evalStrategy === 'no' ? 'evalOnStart' : 'evalStrategy')
  if (o.evalDatasetName !== null)
    return { trainDataset, evalDataset: await loadRows(o.evalDatasetName, { split: o.datasetTestSplit, streaming, ...request }) }
  if (mixture?.test) return { trainDataset, evalDataset: mixture.test }
  if (mixture)
    throw new SaqrError(
      'OPTION_INVALID',
      say`${asked} needs rows that are not trained on: keep some of ${option('datasets')} apart with ${option('testSplitSize')}, or name some with ${option('evalDatasetName')}`,
    )
  // a file is one split, train: a slice of it may be kept apart
  if ((isFile(o.datasetName!) || isPattern(o.datasetName!)) && !/^train\[/.test(o.datasetTestSplit))
    throw new SaqrError(
      'OPTION_INVALID',
      say`${asked} needs rows that are not trained on, and a file has no split ${o.datasetTestSplit}: name some with ${option('evalDatasetName')}, or a slice of the file with ${option('datasetTestSplit')}, such as train[90%:]`,
    )
  const evalDataset = await loadRows(o.datasetName!, {
    config: o.datasetConfig ?? undefined,
    split: o.datasetTestSplit,
    streaming,
    ...request,
  })
  return { trainDataset, evalDataset }
}

/** TRL parts the rows anew in each run; here always in the same way, so that a run can go on. */
async function mixed(o: VerbOptions, request: MixtureRequest): Promise<{ train: Dataset; test?: Dataset }> {
  const rows = await loadMixture(mixtureOf(o.datasets), { ...request, streaming: o.streaming })
  return o.testSplitSize === null ? { train: rows } : rows.trainTestSplit({ testSize: o.testSplitSize })
}
