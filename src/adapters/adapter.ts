/**
 * An adapter says what a weight of the checkpoint is: frozen, trained, quantised, with a low-rank part beside it. Families call
 * `linear(path)` and never know; the answer is written in ops, so every variant runs on the same path.
 */
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { EmbeddingShape, ExpertsShape, LinearShape, RouterShape } from '../models/trace.ts'
import type { Dispatch } from '../ops/dispatch/op.ts'
import type { Builder } from '../ops/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import type { AddLowRank } from './low-rank.ts'

/** What a weight is for: quantisation, weight decay and `bias` options go by it. */
export type Role = 'linear' | 'experts' | 'router' | 'embedding' | 'norm' | 'bias' | 'sinks'

/** Where a trained tensor's first values come from. */
export type ParameterInit =
  | { kind: 'checkpoint'; name: string }
  /** rows of a tensor there, in this order */
  | { kind: 'rows'; name: string; rows: readonly number[] }
  | { kind: 'zeros' }
  /** uniform in ±bound */
  | { kind: 'uniform'; bound: number }
  | { kind: 'normal'; std: number }

export interface ParameterSpec {
  /** its name in the file that keeps it, less the adapter's prefix: `model.layers.0.self_attn.q_proj.lora_A.weight` */
  name: string
  rows: number
  cols: number
  role: Role
  init: ParameterInit
  /** in that file, where it isn't rows × cols */
  shape?: readonly number[]
  /** a low-rank part of experts: there it lies as PEFT has it (`expert-layout.ts`) */
  experts?: ExpertPart
  /** tensors of the same lane lie behind one another, in the order they are asked for: what reads one x may then be read as one */
  lane?: string
}

/** Low-rank parts of all experts in one tensor, A or B; `size`: channels that go into an expert, or come out of it. */
export interface ExpertPart {
  of: 'A' | 'B'
  experts: number
  size: number
  r: number
  /** here (experts · r, size), the rank running along rows; else (experts · size, r) */
  wide: boolean
}

/** A trained tensor and its values. */
export interface Trained {
  spec: ParameterSpec
  values: Float32Array
}

export interface AdapterBuilder extends Builder {
  /** dtype of activations, and the one that frozen weights are stored in unless quantised */
  readonly activation: DType
  /** a frozen weight of the checkpoint, in `dtype` (default: the activation dtype) */
  weight(name: string, rows: number, cols: number, dtype?: DType): Tensor
  /** a trained tensor, f32, with a gradient */
  parameter(spec: ParameterSpec): Tensor
  /** a small table in f32 that is the same for every pass; `name` says all that it is made of */
  constant(name: string, values: readonly number[]): Tensor
}

export interface Adapter {
  /** norm weights and whatever else a family reads as it is: (rows, cols) */
  tensor(b: AdapterBuilder, name: string, rows: number, cols: number, role: Role): Tensor
  /** x (T, in) -> (T, out) */
  linear(b: AdapterBuilder, path: string, x: Tensor, shape: LinearShape): Tensor
  /** a router: x (T, in) -> logits (T, experts) */
  router(b: AdapterBuilder, path: string, x: Tensor, shape: RouterShape): Tensor
  /** x (M, in), rows by expert as `slots` lie -> (M, out); `name` is the tensor of all their weights */
  experts(b: AdapterBuilder, name: string, x: Tensor, slots: Dispatch, shape: ExpertsShape): Tensor
  /** ids (T, 1) -> (T, channels) */
  embed(b: AdapterBuilder, path: string, ids: Tensor, shape: EmbeddingShape): Tensor

  /** what is trained, said in a word or two */
  readonly label: string
  /** what is saved as an adapter over its base, in PEFT's terms; null: it is saved as a checkpoint, in the model's dtype */
  readonly config: AdapterConfig | null
  /** names in the saved file of tensors that are another trained tensor: its name */
  readonly copies?: ReadonlyMap<string, string>
  /** why tokens that begin alike are not computed alike in training; null: they are */
  readonly random: string | null
  /**
   * The checkpoint's tensor `name` (rows × cols) with what is trained merged into it, in f32; null where it stays as it is.
   * `base` gives its values, to write into; `trained` those of a trained tensor, null where there is none of that name.
   */
  merge(name: string, base: BaseTensor, trained: (name: string) => Trained | null): Float32Array | null
}

export interface BaseTensor {
  rows: number
  cols: number
  /** the row of the checkpoint's tensor that row 0 is, where it is a part of it; default 0 */
  from?: number
  /** a copy of its values, f32 */
  values(): Float32Array
  /** how a low-rank part is written into them */
  addLowRank: AddLowRank
}
