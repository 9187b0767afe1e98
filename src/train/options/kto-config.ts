/** Options of the KTOTrainer. Written by tools/config-types.ts from the tables beside this file. */
import type { CommonConfig, CommonOptions } from './common-config.ts'

/** `args` of the KTOTrainer: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */
// biome-ignore format: written by a tool
export interface KTOConfig extends CommonConfig {
  /** Tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never; default: 1024. */
  maxLength?: number | null
  /** Accepted, though there is nothing left for it to do: nothing is padded; the longest row, by which LongRoPE chooses, is counted without it. */
  padToMultipleOf?: number | string | null
  /** Order of rows in an epoch; lossType kto needs their own, by which it pairs answers with other prompts; default: sequential. */
  trainSamplingStrategy?: 'random' | 'sequential'
  /** Accepted, though there is nothing left for it to do: one device trains. */
  averageTokensAcrossDevices?: boolean
  /** Not supported, and accepted only where it asks for nothing: what is learned follows from the shape of the rows; leave it out. */
  labelNames?: null
  /** Highest learning rate; default: 0.000001. */
  learningRate?: number
  /** Kto, against how far the model has gone from the reference; apo_zero_unpaired: each answer alone; default: kto. */
  lossType?: 'kto' | 'apo_zero_unpaired'
  /** How much a distance from the reference counts; default: 0.1. */
  beta?: number
  /** Weight of the wanted answers; default: 1. */
  desirableWeight?: number
  /** Weight of the others; default: 1. */
  undesirableWeight?: number
  /** What the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out. */
  routerAuxLossCoef?: number | null
  /** Not supported, and accepted only where it asks for nothing: noise on one side of a comparison is not supported; leave it out. */
  neftuneNoiseAlpha?: null
  /** Not supported, and accepted only where it asks for nothing: both sides of a comparison are scored without dropout, as in TRL by default; leave it out. */
  disableDropout?: true
  /** Accepted, though there is nothing left for it to do: the reference scores every row once, before the first step: it stays as it is, so the numbers do. */
  precomputeRefLogProbs?: boolean
  /** Accepted, though there is nothing left for it to do: how rows are put together to be scored is the planner’s business. */
  precomputeRefBatchSize?: number | null
  /** Not supported, and accepted only where it asks for nothing: a reference that follows the model (TR-DPO) is not supported yet; leave it out. */
  syncRefModel?: false
  /** Accepted, though there is nothing left for it to do: only sync_ref_model reads it, and that is refused. */
  refModelMixupAlpha?: number
  /** Accepted, though there is nothing left for it to do: only sync_ref_model reads it, and that is refused. */
  refModelSyncSteps?: number
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  activationOffloading?: boolean
  /** Not supported, and accepted only where it asks for nothing: prompt and answer have one limit in TRL 1.16: maxLength. */
  maxPromptLength?: null
  /** Not supported, and accepted only where it asks for nothing: prompt and answer have one limit in TRL 1.16: maxLength. */
  maxTargetLength?: null
  /** Not supported, and accepted only where it asks for nothing: TRL 1.16 has no such loss; leave it out. */
  referenceFree?: false
  /** Not supported, and accepted only where it asks for nothing: programs give another reference as refModel. */
  forceUseRefModel?: false
  /** Accepted, though there is nothing left for it to do: a model has one adapter that is trained. */
  modelAdapterName?: string | null
  /** Not supported, and accepted only where it asks for nothing: programs give a second adapter as refModel. */
  refAdapterName?: null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  labelPadTokenId?: number
  /** Accepted, though there is nothing left for it to do: the head only computes what has a target. */
  useLogitsToKeep?: boolean
  /** Not supported, and accepted only where it asks for nothing: an answer has no limit of its own in TRL 1.16: max_length is that of prompt and answer. */
  maxCompletionLength?: null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  paddingValue?: number | null
}

/** The same with everything that was left out filled in. */
// biome-ignore format: written by a tool
export interface KtoTrainingOptions extends CommonOptions {
  /** Tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never; default: 1024. */
  maxLength: number | null
  /** Order of rows in an epoch; lossType kto needs their own, by which it pairs answers with other prompts; default: sequential. */
  trainSamplingStrategy: 'random' | 'sequential'
  /** Highest learning rate; default: 0.000001. */
  learningRate: number
  /** Kto, against how far the model has gone from the reference; apo_zero_unpaired: each answer alone; default: kto. */
  lossType: 'kto' | 'apo_zero_unpaired'
  /** How much a distance from the reference counts; default: 0.1. */
  beta: number
  /** Weight of the wanted answers; default: 1. */
  desirableWeight: number
  /** Weight of the others; default: 1. */
  undesirableWeight: number
  /** What the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out. */
  routerAuxLossCoef: number | null
}
