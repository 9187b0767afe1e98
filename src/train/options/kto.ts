/** All options of Kahneman-Tversky optimisation, in the order in which help prints them. */
import { z } from 'zod'
import { balance, opening, ownOfTrainers, quietArguments, trainerPart } from './common.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { preferenceOptimizer, preferenceOwn, preferenceRows, preferenceSteps, reference } from './dpo.ts'
import { evaluation } from './evaluation.ts'
import { honoured, type OptionsOf, refused, subsumed, type Theme } from './field.ts'
import type { KTOConfig } from './kto-config.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model } from './model.ts'
import { schedule } from './optimizer.ts'
import { compute, precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { hub, saving } from './saving.ts'
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

/** TRL's KTOConfig */
export const ktoTrainingFields = {
  ...opening,
  ...preferenceRows,
  ...steps,
  ...preferenceOptimizer,
  ...schedule,
  ...loss,
  ...quietArguments,
  ...reference,
  ...precision,
  ...compute,
  ...logging,
  ...evaluation,
  ...saving,
  ...hub,
  ...distributed,
}

/** Names of older versions. */
const { rpo_alpha: _, ...olderNames } = retiredOfPairs
export const ktoRetired = {
  ...retired,
  ...olderNames,
  max_completion_length: refused(
    optionalCount,
    null,
    'an answer has no limit of its own in TRL 1.16: max_length is that of prompt and answer',
  ),
  padding_value: subsumed(z.int().nullable(), null, 'nothing is padded'),
}

/** Every name that `saqr kto` knows. */
export const ktoFields = {
  ...dataset,
  ...mixture,
  ...model,
  ...lora,
  ...quantization,
  ...ktoTrainingFields,
  ...preferenceOwn,
  ...ktoRetired,
}

export const ktoThemes: readonly Theme[] = [
  { title: 'Model', fields: { ...model, ...opening } },
  { title: 'Adapter', fields: lora },
  { title: '4-bit base', fields: quantization },
  { title: 'Data', fields: { ...dataset, ...mixture } },
  { title: 'Rows', fields: preferenceRows },
  { title: 'Loss', fields: { ...loss, ...quietArguments } },
  { title: 'Reference', fields: reference },
  { title: 'Steps', fields: steps },
  { title: 'Optimizer', fields: preferenceOptimizer },
  { title: 'Learning rate', fields: schedule },
  { title: 'Precision', fields: { ...precision, ...compute } },
  { title: 'Logging', fields: logging },
  { title: 'Evaluation', fields: evaluation },
  { title: 'Saving', fields: { ...saving, ...hub } },
  { title: 'Several devices', fields: distributed },
  { title: 'Only saqr', fields: preferenceOwn },
]

export type KtoOptions = OptionsOf<typeof ktoFields>

/** The fields behind `KTOConfig`. */
export const ktoConfigFields = {
  ...ktoTrainingFields,
  ...ownOfTrainers,
}

export const ktoTables = {
  name: 'KTOTrainer',
  config: { ...ktoConfigFields, ...ktoRetired },
  verb: ktoFields,
  takes: ['refModel'],
  refuses: {
    formattingFunc: 'rows have a prompt, a completion and a label: make these columns with map',
    computeLossFunc: 'the loss is what lossType says',
  },
} as const

/** The trainer's part of the command's options. */
export const ktoArgs = (options: KtoOptions): KTOConfig => trainerPart(ktoConfigFields, options)
