/** How many rows make a step, and how many steps a run (SFTConfig). */

import { z } from 'zod'
import { option, say } from '../../error.ts'
import { beside, honoured, refused, subsumed } from './field.ts'
import { NO_STEPS, RANDOM_ORDER } from './needs.ts'
import { count, described, flag, optionalText, texts } from './schemas.ts'

export const batch = {
  per_device_train_batch_size: honoured(count, 8, 'rows of a micro-batch'),
  gradient_accumulation_steps: honoured(
    count,
    1,
    'micro-batches of an optimizer step; how a step is cut into passes is the planner’s business',
  ),
  num_train_epochs: beside(
    NO_STEPS,
    honoured(z.number().positive(), 3, 'times that all rows are gone through; parts of an epoch are fine'),
  ),
  max_steps: honoured(
    described(z.int(), '-1 (unset) or a whole number of at least 1', (n) => n === -1 || n > 0),
    -1,
    'optimizer steps; -1: as many as num_train_epochs need',
  ),
  seed: honoured(z.int().min(0), 42, 'of everything random: adapter, dropout, order of rows'),
  data_seed: beside(RANDOM_ORDER, honoured(z.int().min(0).nullable(), null, 'of the order of rows; default: seed')),
  train_sampling_strategy: honoured(z.enum(['random', 'sequential']), 'random', 'order of rows in an epoch', {
    group_by_length: 'it saves padding, and saqr does not pad; use random',
    batch_rebalance: 'it saves padding and balances devices; saqr does not pad and trains on one; use random',
  }),
  auto_find_batch_size: subsumed(flag, false, 'the planner cuts a step into passes that fit; the batch stays what you asked for'),
  average_tokens_across_devices: subsumed(flag, true, 'the loss is always the mean over all target tokens of the step'),
  full_determinism: subsumed(flag, false, 'the same seed always gives the same bits'),
}

export const loading = {
  dataloader_drop_last: honoured(flag, false, 'leave the last batch of an epoch out where it is not full'),
  dataloader_num_workers: subsumed(z.int().min(0), 0, 'rows are token ids in memory before training starts'),
  dataloader_pin_memory: subsumed(flag, true, 'a step uploads a few numbers a token; there is nothing to pin'),
  dataloader_persistent_workers: subsumed(flag, false, 'there are no loader processes'),
  dataloader_prefetch_factor: subsumed(count.nullable(), null, 'rows are token ids in memory before training starts'),
  dataloader_multiprocessing_context: subsumed(optionalText, null, 'there are no loader processes'),
  dataloader_in_order: subsumed(flag, true, 'batches always come in order'),
  remove_unused_columns: subsumed(flag, true, 'columns that no row shape uses are left alone'),
  label_names: refused(
    texts.nullable(),
    null,
    say`targets follow from the shape of the rows; see ${option('completionOnlyLoss')} and ${option('assistantOnlyLoss')}`,
  ),
  length_column_name: subsumed(z.string(), 'length', 'only group_by_length reads it'),
}
