/** All options of odds ratio preference optimisation, in the order in which help prints them. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { opening, ownOfTrainers, quietArguments, trainerPart } from './common.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { preferenceOptimizer, preferenceOwn, preferenceSteps, reference } from './dpo.ts'
import { evaluation } from './evaluation.ts'
import { honoured, type OptionsOf, refused, subsumed, type Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model } from './model.ts'
import { schedule } from './optimizer.ts'
import type { ORPOConfig } from './orpo-config.ts'
import { compute, precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { rows as rowsOfSft } from './rows.ts'
import { hub, saving } from './saving.ts'
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

/** TRL's ORPOConfig */
export const orpoTrainingFields = {
  ...opening,
  ...orpoRows,
  ...preferenceSteps,
  ...preferenceOptimizer,
  ...schedule,
  ...orpoLoss,
  ...quietArguments,
  ...precision,
  ...computeFields,
  ...logging,
  ...evaluation,
  ...saving,
  ...hub,
  ...distributed,
}

/** Names of older versions, less those of a reference. */
const { rpo_alpha, reference_free, force_use_ref_model, ref_adapter_name, ...olderNames } = retiredOfPairs
export const orpoRetired = { ...retired, ...olderNames }

/** Every name that `saqr orpo` knows. */
export const orpoFields = {
  ...dataset,
  ...mixture,
  ...model,
  ...lora,
  ...quantization,
  ...orpoTrainingFields,
  ...preferenceOwn,
  ...orpoRetired,
}

export const orpoThemes: readonly Theme[] = [
  { title: 'Model', fields: { ...model, ...opening } },
  { title: 'Adapter', fields: lora },
  { title: '4-bit base', fields: quantization },
  { title: 'Data', fields: { ...dataset, ...mixture } },
  { title: 'Rows', fields: orpoRows },
  { title: 'Loss', fields: { ...orpoLoss, ...quietArguments } },
  { title: 'Steps', fields: preferenceSteps },
  { title: 'Optimizer', fields: preferenceOptimizer },
  { title: 'Learning rate', fields: schedule },
  { title: 'Precision', fields: { ...precision, ...computeFields } },
  { title: 'Logging', fields: logging },
  { title: 'Evaluation', fields: evaluation },
  { title: 'Saving', fields: { ...saving, ...hub } },
  { title: 'Several devices', fields: distributed },
  { title: 'Only saqr', fields: preferenceOwn },
]

export type OrpoOptions = OptionsOf<typeof orpoFields>

/** The fields behind `ORPOConfig`. */
export const orpoConfigFields = {
  ...orpoTrainingFields,
  ...ownOfTrainers,
}

export const orpoTables = {
  name: 'ORPOTrainer',
  config: { ...orpoConfigFields, ...orpoRetired },
  verb: orpoFields,
  takes: [],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    refModel: 'ORPO measures against nothing but the odds of both answers',
    computeLossFunc: 'the loss is that of the odds ratio',
  },
} as const

/** The trainer's part of the command's options. */
export const orpoArgs = (options: OrpoOptions): ORPOConfig => trainerPart(orpoConfigFields, options)
