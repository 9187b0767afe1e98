/** All options of direct preference optimisation, in the order in which help prints them. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { divergences } from '../objectives/pair-losses.ts'
import { balance, opening, ownOfTrainers, quietArguments, steps, template, trainerPart } from './common.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import type { DPOConfig } from './dpo-config.ts'
import { evaluation } from './evaluation.ts'
import { beside, honoured, type OptionsOf, refused, subsumed, type Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model } from './model.ts'
import { optimizer, schedule } from './optimizer.ts'
import { own as everyones } from './own.ts'
import { compute, precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { retired, retiredOfPairs } from './retired.ts'
import { rows as rowsOfSft } from './rows.ts'
import { hub, saving } from './saving.ts'
import { flag, optionalCount, optionalName } from './schemas.ts'

/** of preferences and rated answers alike */
export const preferenceRows = {
  max_length: honoured(
    optionalCount,
    1024,
    'tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never',
  ),
  pad_to_multiple_of: rowsOfSft.pad_to_multiple_of,
  dataset_num_proc: rowsOfSft.dataset_num_proc,
}

const rows = {
  ...preferenceRows,
  truncation_mode: beside(
    { met: (o) => o.maxLength !== null, unless: say`without ${option('maxLength')}` },
    honoured(z.enum(['keep_start', 'keep_end']), 'keep_start', 'which end of a too long answer stays'),
  ),
  padding_free: rowsOfSft.padding_free,
  pad_token: rowsOfSft.pad_token,
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

export const lossTypes = [
  'sigmoid',
  'hinge',
  'ipo',
  'exo_pair',
  'nca_pair',
  'robust',
  'bco_pair',
  'sppo_hard',
  'aot',
  'aot_unpaired',
  'apo_zero',
  'apo_down',
  'discopop',
  'sft',
  'sigmoid_norm',
] as const
const lossType = z.enum(lossTypes)

const of = (what: string, ...types: string[]) => ({
  met: (o: Readonly<Record<string, unknown>>) => [o.lossType].flat().some((type) => types.includes(type as string)),
  unless: say`without ${option('lossType')} ${what}`,
})

const loss = {
  loss_type: honoured(z.union([z.array(lossType).min(1), lossType]), ['sigmoid'], 'loss of a pair, or several, which are added'),
  loss_weights: honoured(z.array(z.number()).nullable(), null, 'what the losses of loss_type are multiplied with; default: 1'),
  beta: honoured(z.number().positive(), 0.1, 'how much a distance from the reference counts; ipo: its τ'),
  label_smoothing: beside(
    of('robust, exo_pair, aot or aot_unpaired', 'robust', 'exo_pair', 'aot', 'aot_unpaired'),
    honoured(z.number().min(0).lt(1), 0, 'share of pairs that may be the wrong way round; sigmoid does not read it'),
  ),
  ld_alpha: honoured(
    z.number().min(0).max(1).nullable(),
    null,
    'weight of the tokens that a longer answer has beyond the shorter one’s length (LD-DPO); default: they count as all',
  ),
  f_divergence_type: honoured(
    z.enum(divergences),
    'reverse_kl',
    'divergence from the reference (f-DPO), for losses of the difference of both rewards',
  ),
  f_alpha_divergence_coef: beside(
    { met: (o) => o.fDivergenceType === 'alpha_divergence', unless: say`without ${option('fDivergenceType')} alpha_divergence` },
    honoured(z.number(), 0.5, 'α of the α-divergence'),
  ),
  use_weighting: honoured(flag, false, 'weigh pairs by how likely the model finds them (WPO)'),
  discopop_tau: beside(of('discopop', 'discopop'), honoured(z.number().positive(), 0.05, 'τ of discopop')),
  ...balance,
}

/** Overrides where a line speaks of SFT alone. */
export const preferenceSteps = {
  ...steps,
  average_tokens_across_devices: subsumed(flag, true, 'one device trains'),
  label_names: refused(z.array(z.string()).nullable(), null, 'what is learned follows from the shape of the rows; leave it out'),
}
export const preferenceOptimizer = { ...optimizer, learning_rate: honoured(z.number().min(0), 1e-6, 'highest learning rate') }

/** What only saqr has; TRL leaves the last two to the tokenizer. */
export const preferenceOwn = {
  ...everyones,
  eos_token: honoured(optionalName, null, 'token that ends an answer; default: the tokenizer’s'),
  ...template,
}

/** TRL's DPOConfig */
export const dpoTrainingFields = {
  ...opening,
  ...rows,
  ...preferenceSteps,
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

const NO_LIMIT = 'an answer has no limit of its own in TRL 1.16'
/** Names of older versions. */
export const dpoRetired = {
  ...retired,
  ...retiredOfPairs,
  max_completion_length: refused(optionalCount, null, say`${NO_LIMIT}: ${option('maxLength')} is that of prompt and answer`),
  padding_value: subsumed(z.int().nullable(), null, 'nothing is padded'),
  generate_during_eval: refused(flag, false, 'samples during evaluation are not supported yet; leave it out'),
}

/** Every name that `saqr dpo` knows. */
export const dpoFields = {
  ...dataset,
  ...mixture,
  ...model,
  ...lora,
  ...quantization,
  ...dpoTrainingFields,
  ...preferenceOwn,
  ...dpoRetired,
}

export const dpoThemes: readonly Theme[] = [
  { title: 'Model', fields: { ...model, ...opening } },
  { title: 'Adapter', fields: lora },
  { title: '4-bit base', fields: quantization },
  { title: 'Data', fields: { ...dataset, ...mixture } },
  { title: 'Rows', fields: rows },
  { title: 'Loss', fields: { ...loss, ...quietArguments } },
  { title: 'Reference', fields: reference },
  { title: 'Steps', fields: preferenceSteps },
  { title: 'Optimizer', fields: preferenceOptimizer },
  { title: 'Learning rate', fields: schedule },
  { title: 'Precision', fields: { ...precision, ...compute } },
  { title: 'Logging', fields: logging },
  { title: 'Evaluation', fields: evaluation },
  { title: 'Saving', fields: { ...saving, ...hub } },
  { title: 'Several devices', fields: distributed },
  { title: 'Only saqr', fields: preferenceOwn },
]

export type DpoOptions = OptionsOf<typeof dpoFields>

/** The fields behind `DPOConfig`. */
export const dpoConfigFields = {
  ...dpoTrainingFields,
  ...ownOfTrainers,
}

export const dpoTables = {
  name: 'DPOTrainer',
  config: { ...dpoConfigFields, ...dpoRetired },
  verb: dpoFields,
  takes: ['refModel'],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    computeLossFunc: 'the loss is what lossType says',
  },
} as const

/** The trainer's part of the command's options. */
export const dpoArgs = (options: DpoOptions): DPOConfig => trainerPart(dpoConfigFields, options)
