/** Options of the DPOTrainer. Written by tools/config-types.ts from the tables beside this file. */
import type { CommonConfig, CommonOptions } from './common-config.ts'

/** `args` of the DPOTrainer: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */
// biome-ignore format: written by a tool
export interface DPOConfig extends CommonConfig {
  /** Tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never; default: 1024. */
  maxLength?: number | null
  /** Accepted, though there is nothing left for it to do: nothing is padded; the longest row, by which LongRoPE chooses, is counted without it. */
  padToMultipleOf?: number | string | null
  /** Which end of a too long answer stays; default: keep_start; no effect without maxLength. */
  truncationMode?: 'keep_start' | 'keep_end'
  /** Accepted, though there is nothing left for it to do: rows are always laid end to end without padding, each seeing itself alone. */
  paddingFree?: boolean
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  padToken?: string | null
  /** Order of rows in an epoch; default: random. */
  trainSamplingStrategy?: 'random' | 'sequential'
  /** Accepted, though there is nothing left for it to do: one device trains. */
  averageTokensAcrossDevices?: boolean
  /** Not supported, and accepted only where it asks for nothing: what is learned follows from the shape of the rows; leave it out. */
  labelNames?: null
  /** Highest learning rate; default: 0.000001. */
  learningRate?: number
  /** Loss of a pair, or several, which are added; default: ["sigmoid"]. */
  lossType?: ('sigmoid' | 'hinge' | 'ipo' | 'exo_pair' | 'nca_pair' | 'robust' | 'bco_pair' | 'sppo_hard' | 'aot' | 'aot_unpaired' | 'apo_zero' | 'apo_down' | 'discopop' | 'sft' | 'sigmoid_norm')[] | 'sigmoid' | 'hinge' | 'ipo' | 'exo_pair' | 'nca_pair' | 'robust' | 'bco_pair' | 'sppo_hard' | 'aot' | 'aot_unpaired' | 'apo_zero' | 'apo_down' | 'discopop' | 'sft' | 'sigmoid_norm'
  /** What the losses of lossType are multiplied with; default: 1. */
  lossWeights?: number[] | null
  /** How much a distance from the reference counts; ipo: its τ; default: 0.1. */
  beta?: number
  /** Share of pairs that may be the wrong way round; sigmoid does not read it; default: 0; no effect without lossType robust, exo_pair, aot or aot_unpaired. */
  labelSmoothing?: number
  /** Weight of the tokens that a longer answer has beyond the shorter one’s length (LD-DPO); default: they count as all. */
  ldAlpha?: number | null
  /** Divergence from the reference (f-DPO), for losses of the difference of both rewards; default: reverse_kl. */
  fDivergenceType?: 'reverse_kl' | 'forward_kl' | 'js_divergence' | 'alpha_divergence'
  /** Α of the α-divergence; default: 0.5; no effect without fDivergenceType alpha_divergence. */
  fAlphaDivergenceCoef?: number
  /** Weigh pairs by how likely the model finds them (WPO); default: false. */
  useWeighting?: boolean
  /** Τ of discopop; default: 0.05; no effect without lossType discopop. */
  discopopTau?: number
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
  /** Not supported, and accepted only where it asks for nothing: it is a loss of its own in TRL 1.16: lossType sigmoid sft, with 1 and its value as lossWeights. */
  rpoAlpha?: null
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
  /** Not supported, and accepted only where it asks for nothing: an answer has no limit of its own in TRL 1.16: maxLength is that of prompt and answer. */
  maxCompletionLength?: null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  paddingValue?: number | null
  /** Not supported, and accepted only where it asks for nothing: samples during evaluation are not supported yet; leave it out. */
  generateDuringEval?: false
}

/** The same with everything that was left out filled in. */
// biome-ignore format: written by a tool
export interface DpoTrainingOptions extends CommonOptions {
  /** Tokens of prompt and answer: longer ones are cut, rows whose prompt alone fills it left out; none: never; default: 1024. */
  maxLength: number | null
  /** Which end of a too long answer stays; default: keep_start; no effect without maxLength. */
  truncationMode: 'keep_start' | 'keep_end'
  /** Highest learning rate; default: 0.000001. */
  learningRate: number
  /** Loss of a pair, or several, which are added; default: ["sigmoid"]. */
  lossType: ('sigmoid' | 'hinge' | 'ipo' | 'exo_pair' | 'nca_pair' | 'robust' | 'bco_pair' | 'sppo_hard' | 'aot' | 'aot_unpaired' | 'apo_zero' | 'apo_down' | 'discopop' | 'sft' | 'sigmoid_norm')[] | 'sigmoid' | 'hinge' | 'ipo' | 'exo_pair' | 'nca_pair' | 'robust' | 'bco_pair' | 'sppo_hard' | 'aot' | 'aot_unpaired' | 'apo_zero' | 'apo_down' | 'discopop' | 'sft' | 'sigmoid_norm'
  /** What the losses of lossType are multiplied with; default: 1. */
  lossWeights: number[] | null
  /** How much a distance from the reference counts; ipo: its τ; default: 0.1. */
  beta: number
  /** Share of pairs that may be the wrong way round; sigmoid does not read it; default: 0; no effect without lossType robust, exo_pair, aot or aot_unpaired. */
  labelSmoothing: number
  /** Weight of the tokens that a longer answer has beyond the shorter one’s length (LD-DPO); default: they count as all. */
  ldAlpha: number | null
  /** Divergence from the reference (f-DPO), for losses of the difference of both rewards; default: reverse_kl. */
  fDivergenceType: 'reverse_kl' | 'forward_kl' | 'js_divergence' | 'alpha_divergence'
  /** Α of the α-divergence; default: 0.5; no effect without fDivergenceType alpha_divergence. */
  fAlphaDivergenceCoef: number
  /** Weigh pairs by how likely the model finds them (WPO); default: false. */
  useWeighting: boolean
  /** Τ of discopop; default: 0.05; no effect without lossType discopop. */
  discopopTau: number
  /** What the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out. */
  routerAuxLossCoef: number | null
}
