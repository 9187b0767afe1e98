/** All options of supervised fine-tuning, in the order in which help prints them. */
import { unmet } from '../../hub/need.ts'
import { batch, loading } from './batch.ts'
import type { SFTConfig } from './config.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { evaluation } from './evaluation.ts'
import { camel, needing, type OptionsOf, type Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model, modelLoading } from './model.ts'
import { objective, optimizer, schedule } from './optimizer.ts'
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
  { title: 'Loss', fields: objective },
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
  ...responses,
  max_pass_tokens: own.max_pass_tokens,
  prefix_sharing: own.prefix_sharing,
  loraplus_lr_ratio: own.loraplus_lr_ratio,
  loraplus_lr_embedding: own.loraplus_lr_embedding,
  embedding_learning_rate: own.embedding_learning_rate,
  early_stopping_patience: own.early_stopping_patience,
  early_stopping_threshold: own.early_stopping_threshold,
  logging_dir: own.logging_dir,
}

/** Decided when the model was opened. */
const OPENING = new Set(['bf16', 'use_cpu', 'eos_token', 'chat_template_path'])

/** The trainer's part of sft's options; what has nothing to do there was told when they were resolved. */
export function trainerArgs(options: SftOptions): SFTConfig {
  const idle = [...unmet(needing(configFields), options).values()].flat()
  const names = Object.entries(configFields).filter(
    ([name, field]) => field.status === 'honoured' && !OPENING.has(name) && !idle.includes(camel(name)),
  )
  return Object.fromEntries(names.map(([name]) => [camel(name), options[camel(name) as keyof SftOptions]]))
}
