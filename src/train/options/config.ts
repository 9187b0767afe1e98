/** Options of the SFTTrainer. Written by tools/config-types.ts from the tables beside this file. */
import type { CommonConfig, CommonOptions } from './common-config.ts'

/** `args` of the SFTTrainer: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */
// biome-ignore format: written by a tool
export interface SFTConfig extends CommonConfig {
  /** What the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out. */
  routerAuxLossCoef?: number | null
  /** Chat template to use: a .jinja file, chatml, gemma-3, llama-3 or phi-3, or a folder or Hub id of a tokenizer that has one; default: null. */
  chatTemplatePath?: string | null
  /** Column with the text of plain rows; default: text. */
  datasetTextField?: string
  /** Longer rows are cut after this many tokens; none: never; with packing, the length of a pack; default: 1024. */
  maxLength?: number | null
  /** Lay several rows into packs of maxLength tokens, which then count as rows of the batch; default: false. */
  packing?: boolean
  /** Bfd: best fit decreasing, long rows cut; bfd_split: what is cut off is packed too; wrapped: cut anywhere, rows see each other; default: bfd; no effect without packing. */
  packingStrategy?: 'bfd' | 'bfd_split' | 'wrapped'
  /** Packing of the evaluation rows; default: as packing; no effect without evalStrategy steps or epoch. */
  evalPacking?: boolean | null
  /** Learn completions only; default: for rows with prompt and completion. */
  completionOnlyLoss?: boolean | null
  /** Learn what the assistant says only (rows with messages; the chat template marks it, or is one that TRL knows); default: false. */
  assistantOnlyLoss?: boolean
  /** Token that ends a turn or a row; default: the tokenizer’s. */
  eosToken?: string | null
  /** Which end of a too long row stays; default: keep_start; no effect without maxLength, or on rows that are packed (packing). */
  truncationMode?: 'keep_start' | 'keep_end'
  /** Not supported, and accepted only where it asks for nothing: rows are drawn at random in each epoch already; leave it out. */
  shuffleDataset?: false
  /** Accepted, though there is nothing left for it to do: rows are always laid end to end without padding, each seeing itself alone. */
  paddingFree?: boolean
  /** Accepted, though there is nothing left for it to do: nothing is padded; the longest row, by which LongRoPE chooses, is counted without it. */
  padToMultipleOf?: number | string | null
  /** Accepted, though there is nothing left for it to do: nothing is padded. */
  padToken?: string | null
  /** Not supported, and accepted only where it asks for nothing: rows are always prepared by saqr; leave it out. */
  datasetKwargs?: null
  /** Order of rows in an epoch; default: random. */
  trainSamplingStrategy?: 'random' | 'sequential'
  /** Accepted, though there is nothing left for it to do: the loss is always the mean over all target tokens of the step. */
  averageTokensAcrossDevices?: boolean
  /** Not supported, and accepted only where it asks for nothing: targets follow from the shape of the rows; see completionOnlyLoss and assistantOnlyLoss. */
  labelNames?: null
  /** Highest learning rate; default: 0.00002. */
  learningRate?: number
  /** Negative log-likelihood; logits are never held whole (so chunked_nll is the same). dft: each token’s times its probability (dynamic fine-tuning); default: nll. */
  lossType?: 'nll' | 'chunked_nll' | 'dft'
  /** NEFTune: noise on embeddings while training, uniform in ± this / √(length of the row · channels); default: none. */
  neftuneNoiseAlpha?: number | null
  /** Accepted, though there is nothing left for it to do: the planner keeps, recomputes or moves activations block by block to fit memory. */
  activationOffloading?: boolean
  /** Learn answers only, as Unsloth's function does; needs instructionPart and responsePart, which say so by themselves; default: false. */
  trainOnResponsesOnly?: boolean
  /** What stands right before a user's text in the rows, such as <|im_start|>user and a line break; needs responsePart; default: null. */
  instructionPart?: string | null
  /** What stands right before an answer: only tokens from there to the end of the turn are learned; needs instructionPart; default: null. */
  responsePart?: string | null
}

/** The same with everything that was left out filled in. */
// biome-ignore format: written by a tool
export interface TrainingOptions extends CommonOptions {
  /** What the balance loss of a mixture of experts is multiplied with; default: its config.json says; 0: left out. */
  routerAuxLossCoef: number | null
  /** Chat template to use: a .jinja file, chatml, gemma-3, llama-3 or phi-3, or a folder or Hub id of a tokenizer that has one; default: null. */
  chatTemplatePath: string | null
  /** Column with the text of plain rows; default: text. */
  datasetTextField: string
  /** Longer rows are cut after this many tokens; none: never; with packing, the length of a pack; default: 1024. */
  maxLength: number | null
  /** Lay several rows into packs of maxLength tokens, which then count as rows of the batch; default: false. */
  packing: boolean
  /** Bfd: best fit decreasing, long rows cut; bfd_split: what is cut off is packed too; wrapped: cut anywhere, rows see each other; default: bfd; no effect without packing. */
  packingStrategy: 'bfd' | 'bfd_split' | 'wrapped'
  /** Packing of the evaluation rows; default: as packing; no effect without evalStrategy steps or epoch. */
  evalPacking: boolean | null
  /** Learn completions only; default: for rows with prompt and completion. */
  completionOnlyLoss: boolean | null
  /** Learn what the assistant says only (rows with messages; the chat template marks it, or is one that TRL knows); default: false. */
  assistantOnlyLoss: boolean
  /** Token that ends a turn or a row; default: the tokenizer’s. */
  eosToken: string | null
  /** Which end of a too long row stays; default: keep_start; no effect without maxLength, or on rows that are packed (packing). */
  truncationMode: 'keep_start' | 'keep_end'
  /** Negative log-likelihood; logits are never held whole (so chunked_nll is the same). dft: each token’s times its probability (dynamic fine-tuning); default: nll. */
  lossType: 'nll' | 'chunked_nll' | 'dft'
  /** NEFTune: noise on embeddings while training, uniform in ± this / √(length of the row · channels); default: none. */
  neftuneNoiseAlpha: number | null
  /** Learn answers only, as Unsloth's function does; needs instructionPart and responsePart, which say so by themselves; default: false. */
  trainOnResponsesOnly: boolean
  /** What stands right before a user's text in the rows, such as <|im_start|>user and a line break; needs responsePart; default: null. */
  instructionPart: string | null
  /** What stands right before an answer: only tokens from there to the end of the turn are learned; needs instructionPart; default: null. */
  responsePart: string | null
}
