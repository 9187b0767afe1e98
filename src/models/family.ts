/** A family: a checkpoint's config.json read strictly, and the forward computation it means. One file each beside this one (and a line in registry.ts). */
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { FamilyGguf } from './gguf-describe.ts'
import type { Trace } from './trace.ts'

/** A config.json understood: what shared code needs to know, and the forward. */
export interface Model {
  readonly family: string
  /** its part of config.json, with what its class means where the file says nothing */
  readonly config: Config
  /** path of embedding, blocks and last norm: `model` */
  readonly path: string
  readonly layers: number
  readonly channels: number
  readonly vocab: number
  readonly maxPositions: number
  /**
   * Positions of the longest row above which all rows of a micro-batch, or all of a conversation, are computed as long ones (LongRoPE): the
   * pass input `long` marks their tokens. Absent: the model makes no such difference
   */
  readonly longBeyond?: number
  /** path of the head: QLoRA leaves it as it is, all-linear doesn't mean it */
  readonly head: { path: string; tiedTo?: string }
  /** names of the blocks' linears, which an adapter targets where nothing else is asked for */
  readonly linears: readonly string[]
  /** what a checkpoint holds beside a model of text alone */
  readonly composite?: Composite
  /** the linear that holds what others have one of this name for: q_proj -> qkv_proj */
  readonly within?: Readonly<Record<string, string>>
  /** what its loss has beside the objective's; its forward gives it as the result `term` (1, micro-batches) */
  readonly term?: LossTerm
  /** what PEFT makes of targets by the names that each expert's linears once had */
  readonly experts?: ExpertTargets
  /** how files hold a tensor that isn't there by this name: lists of tensors which, one below the other, are it */
  pieces?(name: string): readonly (readonly string[])[]
  /**
   * What other tools' files have in the place of a tensor of experts, or of their router: each expert's own, a matrix (out, in) where the
   * model has (in, out). What is saved has the model's.
   */
  apart?(name: string): readonly string[]
  /** keys of config.json that a saved model has otherwise, as it lacks what they tell of */
  readonly saved?: Readonly<Record<string, unknown>>
  /** the hidden state the head reads (T, C) */
  forward(t: Trace): Tensor
  /** logits (n, V) of rows of the hidden state (n, C) */
  logits(t: Trace, h: Tensor): Tensor
}

/** A term of the loss that a model brings: a number for each micro-batch, pooled over its tokens, so no pass may cut one. */
export interface LossTerm {
  /** in log_history, by TRL's name */
  readonly name: string
  /** what the configuration multiplies it with; 0: it is not trained towards; null: nor can it be, how evenly experts are used is all it says */
  readonly coefficient: number | null
  /** does the configuration ask for it, so that it counts where an objective has it only then? */
  readonly asked: boolean
}

export interface ExpertTargets {
  /** a linear's name: the tensor, by the end of its name, that holds all experts' */
  readonly parameters: Readonly<Record<string, string>>
  /** a tensor that holds several: their names */
  readonly fused: Readonly<Record<string, readonly string[]>>
}

/** A text model that stands in one checkpoint with others (a vision tower). */
export interface Composite {
  /** key of config.json that holds the text model's configuration */
  config: string
  /** paths of the others: not computed with, and kept as they are */
  beside: readonly string[]
  /** files of the folder that say how what they read is prepared: they go where the whole is saved */
  files: readonly string[]
  /** the name here of a tensor whose file has it by another age's naming */
  renamed(name: string): string
  /** what such an age called a module or tensor that is `name` here */
  older(name: string): string
}

export interface Family {
  /** `model_type` of config.json */
  readonly modelType: string
  /** its class in transformers, as `architectures` names it */
  readonly architecture: string
  /** keys of config.json that say what stands beside the text model; any other family's file with one is refused */
  readonly beside?: readonly ('vision_config' | 'audio_config')[]
  /** how GGUF keeps it; absent: GGUF files of it are neither read nor written */
  readonly gguf?: FamilyGguf
  /** what is written of a checkpoint that holds more than the model of text, which alone GGUF files of this architecture are read as */
  readonly written?: FamilyGguf
  /** throws SaqrError for anything the family's forward doesn't do */
  open(config: Readonly<Record<string, unknown>>): Model
}
