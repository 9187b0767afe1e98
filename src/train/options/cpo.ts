/** All options of contrastive preference optimisation, in the order in which help prints them. */
import { z } from 'zod'
import { option, say } from '../../error.ts'
import { opening, ownOfTrainers, quietArguments, trainerPart } from './common.ts'
import type { CPOConfig } from './cpo-config.ts'
import { dataset, mixture } from './data.ts'
import { distributed } from './distributed.ts'
import { preferenceOptimizer, preferenceOwn, preferenceSteps } from './dpo.ts'
import { evaluation } from './evaluation.ts'
import { beside, honoured, type OptionsOf, type Theme } from './field.ts'
import { logging } from './logging.ts'
import { lora } from './lora.ts'
import { model } from './model.ts'
import { schedule } from './optimizer.ts'
import { orpoLoss, orpoRetired, orpoRows } from './orpo.ts'
import { compute, precision } from './precision.ts'
import { quantization } from './quantization.ts'
import { hub, saving } from './saving.ts'

const { padding_value: ___, ...rows } = orpoRows
const { beta: _, ...rest } = orpoLoss

const loss = {
  loss_type: honoured(
    z.enum(['sigmoid', 'hinge', 'ipo', 'simpo', 'alphapo']),
    'sigmoid',
    'loss of the difference of both answers; simpo: of means over tokens, less a margin; alphapo: simpo without the likelihood',
  ),
  beta: honoured(z.number().positive(), 0.1, 'how much the difference counts; ipo: its τ'),
  label_smoothing: beside(
    { met: (o) => o.lossType !== 'hinge' && o.lossType !== 'ipo', unless: say`with ${option('lossType')} hinge or ipo` },
    honoured(z.number().min(0).max(1), 0, 'share of pairs that may be the wrong way round'),
  ),
  cpo_alpha: beside(
    { met: (o) => o.lossType !== 'alphapo', unless: say`with ${option('lossType')} alphapo` },
    honoured(z.number(), 1, 'weight of the likelihood of the chosen answers; SimPO: 0'),
  ),
  simpo_gamma: beside(
    { met: (o) => o.lossType === 'simpo' || o.lossType === 'alphapo', unless: say`without ${option('lossType')} simpo` },
    honoured(z.number(), 0.5, 'margin that simpo asks for'),
  ),
  alpha: honoured(z.number(), 0, 'bends rewards (AlphaPO): (1 − p^−α) / α; 0: log-probabilities as they are'),
  ...rest,
}

const { activation_offloading: __, ...computeFields } = compute

/** TRL's CPOConfig */
export const cpoTrainingFields = {
  ...opening,
  ...rows,
  ...preferenceSteps,
  ...preferenceOptimizer,
  ...schedule,
  ...loss,
  ...quietArguments,
  ...precision,
  ...computeFields,
  ...logging,
  ...evaluation,
  ...saving,
  ...hub,
  ...distributed,
}

/** Every name that `saqr cpo` knows. */
export const cpoFields = {
  ...dataset,
  ...mixture,
  ...model,
  ...lora,
  ...quantization,
  ...cpoTrainingFields,
  ...preferenceOwn,
  ...orpoRetired,
}

export const cpoThemes: readonly Theme[] = [
  { title: 'Model', fields: { ...model, ...opening } },
  { title: 'Adapter', fields: lora },
  { title: '4-bit base', fields: quantization },
  { title: 'Data', fields: { ...dataset, ...mixture } },
  { title: 'Rows', fields: rows },
  { title: 'Loss', fields: { ...loss, ...quietArguments } },
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

export type CpoOptions = OptionsOf<typeof cpoFields>

/** The fields behind `CPOConfig`. */
export const cpoConfigFields = {
  ...cpoTrainingFields,
  ...ownOfTrainers,
}

export const cpoTables = {
  name: 'CPOTrainer',
  config: { ...cpoConfigFields, ...orpoRetired },
  verb: cpoFields,
  takes: [],
  refuses: {
    formattingFunc: 'rows of preferences have a prompt and two answers: make these columns with map',
    refModel: 'CPO measures against no reference',
    computeLossFunc: 'the loss is what lossType says',
  },
} as const

/** The trainer's part of the command's options. */
export const cpoArgs = (options: CpoOptions): CPOConfig => trainerPart(cpoConfigFields, options)
