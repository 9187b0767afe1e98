/** A family: a checkpoint's config.json read strictly, and the forward computation it means. One file each beside this one (and a line in registry.ts). */

import type { Tensor } from '../ops/tensor.ts'
import type { Trace } from './trace.ts'

/** What stands over the last hidden state. */
export interface HeadShape {
  path: string
  vocab: number
  channels: number
  /** path of the embedding whose weight it reads */
  tiedTo?: string
}

/** A config.json understood: what shared code needs to know, and the forward. */
export interface Model {
  readonly family: string
  readonly layers: number
  readonly channels: number
  readonly vocab: number
  readonly maxPositions: number
  readonly head: HeadShape
  /** keys and values of a token and layer: what a KV cache holds */
  readonly kv: { channels: number }
  /** the hidden state the head reads (T, C) */
  forward(t: Trace): Tensor
}

export interface Family {
  /** `model_type` of config.json */
  readonly modelType: string
  /** its class in transformers, as `architectures` names it */
  readonly architecture: string
  /** throws SaqrError for anything the family's forward doesn't do */
  open(config: Readonly<Record<string, unknown>>): Model
}
