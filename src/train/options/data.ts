/** Which rows are read. */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, subsumed } from './field.ts'
import { ALONE, EVALUATION, MIXTURE } from './needs.ts'
import { described, flag, optionalName, text } from './schemas.ts'

/** ScriptArguments */
export const dataset = {
  dataset_name: beside(
    ALONE,
    honoured(
      optionalName,
      null,
      'rows to train on: a .json, .jsonl, .csv or .parquet file, a pattern of files (rows/*.jsonl), a folder, or a Hub id',
    ),
  ),
  dataset_config: beside(ALONE, honoured(optionalName, null, 'configuration of a Hub data set')),
  dataset_train_split: beside(
    ALONE,
    honoured(text, 'train', 'split that is trained on, or slices of splits: train[:90%], train[100:200]+test'),
  ),
  dataset_test_split: beside(EVALUATION, honoured(text, 'test', 'split that is evaluated on')),
  dataset_streaming: beside(
    ALONE,
    honoured(
      flag,
      false,
      'rows stay on disk, what is made of them too (in HF_HOME, as long as it runs; unpacked rows of .gz and .parquet with them): for files larger than memory',
    ),
  ),
  ignore_bias_buffers: subsumed(flag, false, 'there is no DistributedDataParallel wrapper whose buffers could clash'),
}

/** DatasetMixtureConfig */
export const mixture = {
  datasets: honoured(
    z.array(z.record(z.string(), z.unknown())).describe('a list of data sets, each with a path'),
    [],
    'data sets to train on together: a list of path, and name, data_dir, data_files, split, columns, fraction (its share of the rows)',
  ),
  streaming: beside(MIXTURE, honoured(flag, false, say`as ${option('datasetStreaming')}, of all ${option('datasets')}`)),
  test_split_size: beside(
    MIXTURE,
    honoured(
      described(z.number(), 'a share below 1 or a number of rows', (n) => n > 0 && (n < 1 || Number.isInteger(n))).nullable(),
      null,
      say`rows of ${option('datasets')} that are kept apart to evaluate on: a share below 1, or their number`,
    ),
  ),
}
