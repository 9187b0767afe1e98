/** Options of the ORPOTrainer. Written by tools/config-types.ts from the tables beside this file. */
import type { CommonConfig, CommonOptions } from './common-config.ts'

/** `args` of the ORPOTrainer: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */
// biome-ignore format: written by a tool
export interface ORPOConfig extends CommonConfig {
  /** Tokens of prompt and answer: longer answers are cut, rows whose prompt alone fills it left out; none: 512, as in TRL; default: 1024. */
  maxLength?: number | null
  /** Not supported, and accepted only where it asks for nothing: only encoder-decoder models have it: maxLength is the limit here. */
  maxCompletionLength?: null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  paddingValue?: number | null
  /** Order of rows in an epoch; default: random. */
  trainSamplingStrategy?: 'random' | 'sequential'
  /** Accepted, though there is nothing left for it to do: one device trains. */
  averageTokensAcrossDevices?: boolean
  /** Not supported, and accepted only where it asks for nothing: what is learned follows from the shape of the rows; leave it out. */
  labelNames?: null
  /** Highest learning rate; default: 0.000001. */
  learningRate?: number
  /** Weight of the odds ratio beside the likelihood of the chosen rows (the paper’s λ); default: 0.1. */
  beta?: number
  /** Not supported, and accepted only where it asks for nothing: both sides of a comparison are scored without dropout, as in TRL by default; leave it out. */
  disableDropout?: true
  /** Not supported, and accepted only where it asks for nothing: saqr trains decoder-only models. */
  isEncoderDecoder?: null | false
  /** Not supported, and accepted only where it asks for nothing: samples during evaluation are not supported yet; leave it out. */
  generateDuringEval?: false
  /** Not supported, and accepted only where it asks for nothing: noise on one side of a comparison is not supported; leave it out. */
  neftuneNoiseAlpha?: null
  /** Not supported, and accepted only where it asks for nothing: prompt and answer have one limit in TRL 1.16: maxLength. */
  maxPromptLength?: null
  /** Not supported, and accepted only where it asks for nothing: prompt and answer have one limit in TRL 1.16: maxLength. */
  maxTargetLength?: null
  /** Accepted, though there is nothing left for it to do: a model has one adapter that is trained. */
  modelAdapterName?: string | null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  labelPadTokenId?: number
  /** Accepted, though there is nothing left for it to do: the head only computes what has a target. */
  useLogitsToKeep?: boolean
}

/** The same with everything that was left out filled in. */
// biome-ignore format: written by a tool
export interface OrpoTrainingOptions extends CommonOptions {
  /** Tokens of prompt and answer: longer answers are cut, rows whose prompt alone fills it left out; none: 512, as in TRL; default: 1024. */
  maxLength: number | null
  /** Highest learning rate; default: 0.000001. */
  learningRate: number
  /** Weight of the odds ratio beside the likelihood of the chosen rows (the paper’s λ); default: 0.1. */
  beta: number
}
