/** All options of Kahneman-Tversky optimisation. */
import { z } from 'zod'
import { balance } from './common.ts'
import { honoured, type OptionsOf, refused, subsumed } from './field.ts'
import { compute } from './precision.ts'
import { preferenceOptions, preferenceRows, preferenceSteps, reference } from './preference.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { optionalCount } from './schemas.ts'

const steps = {
  ...preferenceSteps,
  train_sampling_strategy: honoured(
    z.enum(['random', 'sequential']),
    'sequential',
    'order of rows in an epoch; loss_type kto needs their own, by which it pairs answers with other prompts',
    { group_by_length: 'it saves padding, and saqr does not pad; use sequential' },
  ),
}

const loss = {
  loss_type: honoured(
    z.enum(['kto', 'apo_zero_unpaired']),
    'kto',
    'kto, against how far the model has gone from the reference; apo_zero_unpaired: each answer alone',
  ),
  beta: honoured(z.number().positive(), 0.1, 'how much a distance from the reference counts'),
  desirable_weight: honoured(z.number().min(0), 1, 'weight of the wanted answers'),
  undesirable_weight: honoured(z.number().min(0), 1, 'weight of the others'),
  ...balance,
}

/** Names of older versions. */
const { rpo_alpha: _, ...olderNames } = retiredOfPairs
const older = {
  ...retired,
  ...olderNames,
  max_completion_length: refused(
    optionalCount,
    null,
    'an answer has no limit of its own in TRL 1.16: max_length is that of prompt and answer',
  ),
  padding_value: subsumed(z.int().nullable(), null, 'nothing is padded'),
}

export const ktoOptions = preferenceOptions({
  name: 'KTOTrainer',
  rows: preferenceRows,
  steps,
  loss,
  reference,
  compute,
  older,
  takes: ['refModel'],
  refuses: {
    formattingFunc: 'rows have a prompt, a completion and a label: make these columns with map',
    computeLossFunc: 'the loss is what lossType says',
  },
})
export type KtoOptions = OptionsOf<typeof ktoOptions.fields>
