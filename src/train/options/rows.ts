/** How a row becomes token ids and targets (SFTConfig). */
import { z } from 'zod'
import { beside, honoured, refused, subsumed } from './field.ts'
import { CUT, EVALUATION, PACKING } from './needs.ts'
import { flag, mapping, optionalCount, optionalFlag, optionalName, optionalText, text } from './schemas.ts'

export const rows = {
  dataset_text_field: honoured(text, 'text', 'column with the text of plain rows'),
  max_length: honoured(optionalCount, 1024, 'longer rows are cut after this many tokens; none: never; with packing, the length of a pack'),
  packing: honoured(flag, false, 'lay several rows into packs of max_length tokens, which then count as rows of the batch'),
  packing_strategy: beside(
    PACKING,
    honoured(
      z.enum(['bfd', 'bfd_split', 'wrapped']),
      'bfd',
      'bfd: best fit decreasing, long rows cut; bfd_split: what is cut off is packed too; wrapped: cut anywhere, rows see each other',
    ),
  ),
  eval_packing: beside(EVALUATION, honoured(optionalFlag, null, 'packing of the evaluation rows; default: as packing')),
  completion_only_loss: honoured(optionalFlag, null, 'learn completions only; default: for rows with prompt and completion'),
  assistant_only_loss: honoured(
    flag,
    false,
    'learn what the assistant says only (rows with messages; the chat template marks it, or is one that TRL knows)',
  ),
  eos_token: honoured(optionalName, null, 'token that ends a turn or a row; default: the tokenizer’s'),
  truncation_mode: beside(CUT, honoured(z.enum(['keep_start', 'keep_end']), 'keep_start', 'which end of a too long row stays')),
  shuffle_dataset: refused(flag, false, 'rows are drawn at random in each epoch already; leave it out'),
  padding_free: subsumed(flag, false, 'rows are always laid end to end without padding, each seeing itself alone'),
  pad_to_multiple_of: subsumed(
    z.union([z.int(), z.string()]).nullable(),
    'auto',
    'nothing is padded; the longest row, by which LongRoPE chooses, is counted without it',
  ),
  pad_token: subsumed(optionalText, null, 'nothing is padded'),
  dataset_kwargs: refused(mapping, null, 'rows are always prepared by saqr; leave it out'),
  dataset_num_proc: honoured(
    optionalCount,
    null,
    'threads that prepare rows, at most one a processor, 8 in all; default: 1, as more were never measured faster, least so for rows with numbers',
  ),
}
