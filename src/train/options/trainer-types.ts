/** The arguments of trainers as programs write them. */
import type { Dataset } from '../../data/dataset.ts'
import type { Row } from '../../data/rows.ts'
import type { MemoryLimit } from '../../engine/budget.ts'
import type { LanguageModel } from '../../engine/language-model.ts'
import type { Message } from '../../text/chat-template.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import type { Tracker } from '../../track/tracker.ts'
import type { TrainerCallback } from '../callbacks.ts'
import type { SFTConfig } from './config.ts'
import type { CPOConfig } from './cpo-config.ts'
import type { DPOConfig } from './dpo-config.ts'
import type { KTOConfig } from './kto-config.ts'
import type { ORPOConfig } from './orpo-config.ts'

/** A model as the trainer sees it. */
export interface TrainableModel {
  /** the model that is trained */
  readonly language: LanguageModel
  /** its tokenizer, unless processingClass names another */
  readonly tokenizer?: Tokenizer
  /** tokens that rows are cut to, unless maxLength says otherwise */
  readonly maxSeqLength?: number
  /** answers several prompts: what evalPrompts asks */
  readonly generate?: (
    prompts: readonly (string | readonly Message[])[],
    options?: { maxNewTokens?: number; doSample?: boolean; signal?: AbortSignal },
  ) => AsyncIterable<{ index: number; text: string; ending: string | null }>
}

/** Rows: a data set, or a plain list of objects. */
export type Rows = Dataset | readonly Row[]

/** What every trainer takes. */
export interface TrainerInit<Args> {
  /** what FastLanguageModel gave */
  model: TrainableModel
  /** default: the model's own */
  processingClass?: Tokenizer | null
  /** older name of processingClass */
  tokenizer?: Tokenizer | null
  /** a data set, or a list of rows */
  trainDataset: Rows
  /** scored as args.evalStrategy says */
  evalDataset?: Rows | null
  /** TRL's options in camelCase; what is left out has TRL's default */
  args?: Args | null
  /** for everything on the device: a size such as `8GB` (10⁹ bytes each) or `512MiB` (2²⁰), or bytes; default: what is free */
  memory?: number | string | null
  /**
   * Where `train()` shows how it goes: `terminal` (on standard error, as `saqr sft` does), `none`, or trackers of your own.
   * Default: `terminal` where standard error is one, else `none`.
   */
  report?: 'terminal' | 'none' | readonly Tracker[]
  /**
   * Awaited after each event, in this order, before the run goes on; the second argument is transformers' TrainerControl: what is set to true
   * there is done. The model may be asked meanwhile.
   * @example callbacks: [async (event, control) => { if (event.type === 'eval' && event.evalLoss < 1) control.shouldTrainingStop = true }]
   */
  callbacks?: readonly TrainerCallback[] | null
}

/** What an SFTTrainer takes. */
export interface SFTTrainerInit extends TrainerInit<SFTConfig> {
  /** makes one text of a row, whatever its columns */
  formattingFunc?: ((row: Row) => string) | null
  /** in args today */
  maxSeqLength?: number | null
  /** in args today */
  datasetTextField?: string
  /** in args today */
  packing?: boolean
  /** in args today */
  datasetNumProc?: number | null
}

/** of trainers that measure against a reference */
export interface ReferredInit<Args> extends TrainerInit<Args> {
  /**
   * What rows are measured against: the model that was opened (an adapter's base), another adapter over it, or another model with the same
   * tokens. Default: the trained model as it is when training begins.
   */
  refModel?: TrainableModel | null
}

/** What a DPOTrainer takes. */
export type DPOTrainerInit = ReferredInit<DPOConfig>
/** What a KTOTrainer takes. */
export type KTOTrainerInit = ReferredInit<KTOConfig>
/** What an ORPOTrainer takes. */
export type ORPOTrainerInit = TrainerInit<ORPOConfig>
/** What a CPOTrainer takes. */
export type CPOTrainerInit = TrainerInit<CPOConfig>

/** The same checked and in one form. */
export interface CheckedInit {
  model: TrainableModel
  processingClass: Tokenizer
  trainDataset: Dataset
  evalDataset: Dataset | null
  formattingFunc: ((row: Row) => string) | undefined
  /** null: the model as training begins */
  refModel: TrainableModel | null
  /** null: what is free */
  memory: MemoryLimit | null
  report: SFTTrainerInit['report']
  callbacks: readonly TrainerCallback[]
}
