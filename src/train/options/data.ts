/** Which rows are read. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, refused, subsumed } from './field.ts'
import { EVALUATION } from './needs.ts'
import { flag, optionalName, text } from './schemas.ts'

/** ScriptArguments */
export const dataset = {
  dataset_name: honoured(optionalName, null, 'rows to train on: a .json, .jsonl, .csv or .parquet file, a folder, or a Hub id'),
  dataset_config: honoured(optionalName, null, 'configuration of a Hub data set'),
  dataset_train_split: honoured(text, 'train', 'split that is trained on, or slices of splits: train[:90%], train[100:200]+test'),
  dataset_test_split: beside(EVALUATION, honoured(text, 'test', 'split that is evaluated on')),
  dataset_streaming: refused(flag, false, 'rows are read before training starts, so that steps and memory are known; leave it out'),
  ignore_bias_buffers: subsumed(flag, false, 'there is no DistributedDataParallel wrapper whose buffers could clash'),
}

/** DatasetMixtureConfig */
export const mixture = {
  datasets: refused(
    z.array(z.unknown()),
    [],
    say`mixtures are not supported yet; put the rows into one file and name it in ${option('datasetName')}`,
  ),
  streaming: refused(flag, false, 'rows are read before training starts, so that steps and memory are known; leave it out'),
  test_split_size: refused(
    z.number().nullable(),
    null,
    say`name rows for evaluation instead: ${option('datasetTestSplit')}, or ${option('evalDatasetName')}`,
  ),
}
