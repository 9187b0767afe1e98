/** All options of odds ratio preference optimisation. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { honoured, type OptionsOf, refused, subsumed } from './field.ts'
import { compute } from './precision.ts'
import { preferenceOptions, preferenceSteps, reference } from './preference.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { rows as rowsOfSft } from './rows.ts'
import { flag, optionalCount, optionalFlag } from './schemas.ts'

/** of trainers that have no reference */
export const orpoRows = {
  max_length: honoured(
    optionalCount,
    1024,
    'tokens of prompt and answer: longer answers are cut, rows whose prompt alone fills it left out; none: 512, as in TRL',
  ),
  max_completion_length: refused(optionalCount, null, say`only encoder-decoder models have it: ${option('maxLength')} is the limit here`),
  padding_value: subsumed(z.int().nullable(), null, 'nothing is padded'),
  dataset_num_proc: rowsOfSft.dataset_num_proc,
}

export const orpoLoss = {
  beta: honoured(z.number().positive(), 0.1, 'weight of the odds ratio beside the likelihood of the chosen rows (the paper’s λ)'),
  disable_dropout: reference.disable_dropout,
  is_encoder_decoder: refused(optionalFlag, null, 'saqr trains decoder-only models', [false]),
  generate_during_eval: refused(flag, false, 'samples during evaluation are not supported yet; leave it out'),
}

const { activation_offloading: _, ...computeFields } = compute
/** of trainers that have no reference */
export const computeAlone = computeFields

/** Names of older versions, less those of a reference. */
const { rpo_alpha, reference_free, force_use_ref_model, ref_adapter_name, ...olderNames } = retiredOfPairs
export const olderAlone = { ...retired, ...olderNames }

export const orpoOptions = preferenceOptions({
  name: 'ORPOTrainer',
  rows: orpoRows,
  steps: preferenceSteps,
  loss: orpoLoss,
  reference: {},
  compute: computeAlone,
  older: olderAlone,
  takes: [],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    refModel: 'ORPO measures against nothing but the odds of both answers',
    computeLossFunc: 'the loss is that of the odds ratio',
  },
})
export type OrpoOptions = OptionsOf<typeof orpoOptions.fields>
