/** Options of the CPOTrainer. Written by tools/config-types.ts from the tables beside this file. */
import type { CommonConfig, CommonOptions } from './common-config.ts'

/** `args` of the CPOTrainer: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */
// biome-ignore format: written by a tool
export interface CPOConfig extends CommonConfig {
  /** Tokens of prompt and answer: longer answers are cut, rows whose prompt alone fills it left out; none: 512, as in TRL; default: 1024. */
  maxLength?: number | null
  /** Not supported, and accepted only where it asks for nothing: only encoder-decoder models have it: maxLength is the limit here. */
  maxCompletionLength?: null
  /** Order of rows in an epoch; default: random. */
  trainSamplingStrategy?: 'random' | 'sequential'
  /** Accepted, though there is nothing left for it to do: one device trains. */
  averageTokensAcrossDevices?: boolean
  /** Not supported, and accepted only where it asks for nothing: what is learned follows from the shape of the rows; leave it out. */
  labelNames?: null
  /** Highest learning rate; default: 0.000001. */
  learningRate?: number
  /** Loss of the difference of both answers; simpo: of means over tokens, less a margin; alphapo: simpo without the likelihood; default: sigmoid. */
  lossType?: 'sigmoid' | 'hinge' | 'ipo' | 'simpo' | 'alphapo'
  /** How much the difference counts; ipo: its τ; default: 0.1. */
  beta?: number
  /** Share of pairs that may be the wrong way round; default: 0; no effect with lossType hinge or ipo. */
  labelSmoothing?: number
  /** Weight of the likelihood of the chosen answers; SimPO: 0; default: 1; no effect with lossType alphapo. */
  cpoAlpha?: number
  /** Margin that simpo asks for; default: 0.5; no effect without lossType simpo. */
  simpoGamma?: number
  /** Bends rewards (AlphaPO): (1 − p^−α) / α; 0: log-probabilities as they are; default: 0. */
  alpha?: number
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
export interface CpoTrainingOptions extends CommonOptions {
  /** Tokens of prompt and answer: longer answers are cut, rows whose prompt alone fills it left out; none: 512, as in TRL; default: 1024. */
  maxLength: number | null
  /** Highest learning rate; default: 0.000001. */
  learningRate: number
  /** Loss of the difference of both answers; simpo: of means over tokens, less a margin; alphapo: simpo without the likelihood; default: sigmoid. */
  lossType: 'sigmoid' | 'hinge' | 'ipo' | 'simpo' | 'alphapo'
  /** How much the difference counts; ipo: its τ; default: 0.1. */
  beta: number
  /** Share of pairs that may be the wrong way round; default: 0; no effect with lossType hinge or ipo. */
  labelSmoothing: number
  /** Weight of the likelihood of the chosen answers; SimPO: 0; default: 1; no effect with lossType alphapo. */
  cpoAlpha: number
  /** Margin that simpo asks for; default: 0.5; no effect without lossType simpo. */
  simpoGamma: number
  /** Bends rewards (AlphaPO): (1 − p^−α) / α; 0: log-probabilities as they are; default: 0. */
  alpha: number
}
