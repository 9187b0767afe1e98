/** What the trainers on preferences and rated answers share, and how the options of one of them are put together. */
import { z } from 'zod'
import { opening, ownOfTrainers, quietArguments, steps, template, trainerPart } from './common.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { evaluation } from './evaluation.ts'
import { type Fields, honoured, refused, subsumed, type Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model } from './model.ts'
import { optimizer, schedule } from './optimizer.ts'
import { own } from './own.ts'
import { precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { rows } from './rows.ts'
import { hub, saving } from './saving.ts'
import { flag, optionalCount, optionalName } from './schemas.ts'
import type { TrainerTables } from './trainer-init.ts'

/** of preferences and rated answers alike */
export const preferenceRows = {
  max_length: honoured(
    optionalCount,
    1024,
    'tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never',
  ),
  pad_to_multiple_of: rows.pad_to_multiple_of,
  dataset_num_proc: rows.dataset_num_proc,
}

/** what an answer's likelihood is measured against */
export const reference = {
  disable_dropout: refused(flag, true, 'both sides of a comparison are scored without dropout, as in TRL by default; leave it out'),
  precompute_ref_log_probs: subsumed(
    flag,
    false,
    'the reference scores every row once, before the first step: it stays as it is, so the numbers do',
  ),
  precompute_ref_batch_size: subsumed(optionalCount, null, 'how rows are put together to be scored is the planner’s business'),
  sync_ref_model: refused(flag, false, 'a reference that follows the model (TR-DPO) is not supported yet; leave it out'),
  ref_model_mixup_alpha: subsumed(z.number(), 0.6, 'only sync_ref_model reads it, and that is refused'),
  ref_model_sync_steps: subsumed(z.int(), 512, 'only sync_ref_model reads it, and that is refused'),
}

/** Overrides where a line speaks of SFT alone. */
export const preferenceSteps = {
  ...steps,
  average_tokens_across_devices: subsumed(flag, true, 'one device trains'),
  label_names: refused(z.array(z.string()).nullable(), null, 'what is learned follows from the shape of the rows; leave it out'),
}
const preferenceOptimizer = { ...optimizer, learning_rate: honoured(z.number().min(0), 1e-6, 'highest learning rate') }

/** What only saqr has; TRL leaves the last two to the tokenizer. */
const preferenceOwn = {
  ...own,
  eos_token: honoured(optionalName, null, 'token that ends an answer; default: the tokenizer’s'),
  ...template,
}

/** What tells one of these trainers from the others. */
interface Parts<Rows, Steps, Loss, Reference, Compute, Older> extends Pick<TrainerTables, 'name' | 'takes' | 'refuses'> {
  rows: Rows
  steps: Steps
  loss: Loss
  /** {}: there is none */
  reference: Reference
  compute: Compute
  /** names of older versions */
  older: Older
}

/** All options of a trainer on preferences, in the order in which help prints them. */
export function preferenceOptions<
  Rows extends Fields,
  Steps extends Fields,
  Loss extends Fields,
  Reference extends Fields,
  Compute extends Fields,
  Older extends Fields,
>({ rows, steps, loss, reference, compute, older, name, takes, refuses }: Parts<Rows, Steps, Loss, Reference, Compute, Older>) {
  /** TRL's configuration */
  const training = {
    ...opening,
    ...rows,
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
  /** every name that its command knows */
  const fields = { ...dataset, ...mixture, ...model, ...lora, ...quantization, ...training, ...preferenceOwn, ...older }
  const themes: readonly Theme[] = [
    { title: 'Model', fields: { ...model, ...opening } },
    { title: 'Adapter', fields: lora },
    { title: '4-bit base', fields: quantization },
    { title: 'Data', fields: { ...dataset, ...mixture } },
    { title: 'Rows', fields: rows },
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
  /** behind the trainer's configuration */
  const config = { ...training, ...ownOfTrainers }
  return {
    training,
    fields,
    themes: themes.filter((theme) => Object.keys(theme.fields).length > 0),
    config,
    older,
    tables: { name, config: { ...config, ...older }, verb: fields, takes, refuses },
    /** the trainer's part of the command's options */
    args: (options: object) => trainerPart(config, options),
  }
}
