/** All options of supervised fine-tuning, in the order in which help prints them. */
import { batch, loading } from './batch.ts'
import { ownOfTrainers, trainerPart } from './common.ts'
import type { SFTConfig } from './config.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { evaluation } from './evaluation.ts'
import type { OptionsOf, Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model, modelLoading } from './model.ts'
import { lossArguments, objective, optimizer, schedule } from './optimizer.ts'
import { own } from './own.ts'
import { compute, precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { responses } from './responses.ts'
import { retired } from './retired.ts'
import { rows } from './rows.ts'
import { hub, saving } from './saving.ts'

/** TRL's ScriptArguments and DatasetMixtureConfig */
export const scriptFields = { ...dataset, ...mixture }
/** TRL's ModelConfig */
export const modelFields = { ...model, ...lora, ...quantization }
/** TRL's SFTConfig */
export const trainingFields = {
  ...modelLoading,
  ...rows,
  ...batch,
  ...loading,
  ...optimizer,
  ...schedule,
  ...objective,
  ...lossArguments,
  ...precision,
  ...compute,
  ...logging,
  ...evaluation,
  ...saving,
  ...hub,
  ...distributed,
}

/** Every name that `saqr sft` knows. */
export const sftFields = { ...scriptFields, ...modelFields, ...trainingFields, ...own, ...responses, ...retired }

export const sftThemes: readonly Theme[] = [
  { title: 'Model', fields: { ...model, ...modelLoading } },
  { title: 'Adapter', fields: lora },
  { title: '4-bit base', fields: quantization },
  { title: 'Data', fields: { ...dataset, ...mixture } },
  { title: 'Rows', fields: { ...rows, ...responses } },
  { title: 'Steps', fields: { ...batch, ...loading } },
  { title: 'Optimizer', fields: optimizer },
  { title: 'Learning rate', fields: schedule },
  { title: 'Loss', fields: { ...objective, ...lossArguments } },
  { title: 'Precision', fields: { ...precision, ...compute } },
  { title: 'Logging', fields: logging },
  { title: 'Evaluation', fields: evaluation },
  { title: 'Saving', fields: { ...saving, ...hub } },
  { title: 'Several devices', fields: distributed },
  { title: 'Only saqr', fields: own },
]

/** Resolved options of `saqr sft`. */
export type SftOptions = OptionsOf<typeof sftFields>
export type { SFTConfig, TrainingOptions } from './config.ts'

/** The fields behind `SFTConfig`. */
export const configFields = {
  ...trainingFields,
  ...ownOfTrainers,
  ...responses,
}

/** Tables of the SFTTrainer; names of older versions too. */
export const argsFields = { ...configFields, ...retired }
export const sftTables = {
  name: 'SFTTrainer',
  config: argsFields,
  verb: sftFields,
  takes: ['formattingFunc'],
  refuses: { computeLossFunc: 'the loss is the mean negative log-likelihood of the targets' },
} as const

/** The trainer's part of sft's options; what has nothing to do there was told when they were resolved. */
export const trainerArgs = (options: SftOptions): SFTConfig => trainerPart(configFields, options)
