/** What every trainer and every verb that trains has, whatever it trains towards. */
import { z } from 'zod'
import { unmet } from '../../hub/need.ts'
import { batch, loading } from './batch.ts'
import type { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { evaluation } from './evaluation.ts'
import { camel, type Fields, needing, type OptionsOf, refused } from './field.ts'
import { logging } from './logging.ts'
import type { lora } from './lora.ts'
import { type model, modelLoading } from './model.ts'
import { lossArguments, optimizer, schedule } from './optimizer.ts'
import { own } from './own.ts'
import { compute, precision } from './precision.ts'
import type { quantization } from './quantization.ts'
import { rows } from './rows.ts'
import { hub, saving } from './saving.ts'

const { model_init_kwargs, trust_remote_code, router_aux_loss_coef, chat_template_path } = modelLoading

/** transformers' TrainingArguments, in the order of help */
export const steps = { ...batch, ...loading }
export const argumentsOfTraining = {
  ...steps,
  ...optimizer,
  ...schedule,
  ...lossArguments,
  ...precision,
  ...compute,
  ...logging,
  ...evaluation,
  ...saving,
  ...hub,
  ...distributed,
}

/** Both sides of a comparison are scored without noise. */
export const quietArguments = {
  ...lossArguments,
  neftune_noise_alpha: refused(z.number().nullable(), null, 'noise on one side of a comparison is not supported; leave it out'),
}

/** of TRL's configurations: how a model named by a text is opened, and a mixture's balance loss */
export const opening = { model_init_kwargs, trust_remote_code }
export const balance = { router_aux_loss_coef }
/** what TRL's other configurations leave to the tokenizer */
export const template = { chat_template_path }

/** what every trainer has beside TRL's configuration */
export const ownOfTrainers = {
  max_pass_tokens: own.max_pass_tokens,
  prefix_sharing: own.prefix_sharing,
  cache_rows: own.cache_rows,
  loraplus_lr_ratio: own.loraplus_lr_ratio,
  loraplus_lr_embedding: own.loraplus_lr_embedding,
  embedding_learning_rate: own.embedding_learning_rate,
  early_stopping_patience: own.early_stopping_patience,
  early_stopping_threshold: own.early_stopping_threshold,
  eval_prompts: own.eval_prompts,
  logging_dir: own.logging_dir,
}
/** what some trainers lack, and what that means */
export const ofSome = {
  router_aux_loss_coef: {
    field: router_aux_loss_coef,
    means: "a mixture's balance loss counts as config.json says (output_router_logits, router_aux_loss_coef)",
  },
  neftune_noise_alpha: { field: argumentsOfTraining.neftune_noise_alpha, means: 'the objective takes no noise' },
}
const { neftune_noise_alpha: _, ...quiet } = argumentsOfTraining
export const common = { ...quiet, dataset_num_proc: rows.dataset_num_proc, ...ownOfTrainers }

/** What a verb that trains goes by, beside its own. */
export type VerbOptions = OptionsOf<
  typeof common & typeof dataset & typeof mixture & typeof model & typeof lora & typeof quantization & typeof own
> & { eosToken: string | null; chatTemplatePath: string | null; routerAuxLossCoef?: number | null; neftuneNoiseAlpha?: number | null }

/** Decided when the model was opened. */
const OPENING = new Set(['bf16', 'use_cpu', 'eos_token', 'chat_template_path'])

/** The trainer's part of a verb's options; what has nothing to do there was told when they were resolved. */
export function trainerPart(fields: Fields, options: object): Record<string, unknown> {
  const values = options as Record<string, unknown>
  const idle = [...unmet(needing(fields), values).values()].flat()
  const names = Object.entries(fields).filter(
    ([name, field]) => field.status === 'honoured' && !OPENING.has(name) && !idle.includes(camel(name)),
  )
  return Object.fromEntries(names.map(([name]) => [camel(name), values[camel(name)]]))
}
