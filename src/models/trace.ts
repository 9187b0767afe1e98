/**
 * What a family writes its forward in: the ops' Builder, with what only a pass knows. `graph/trace.ts` records it. Paths are those of the
 * checkpoint, inside a block relative to it. Nothing here knows which device runs the pass or how it is differentiated.
 */
import type { Dispatch } from '../ops/dispatch/op.ts'
import type { Builder } from '../ops/op.ts'
import type { Pages } from '../ops/paged-attention/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'

export interface LinearShape {
  in: number
  out: number
  bias: boolean
  /** path of the embedding whose weight this linear reads */
  tiedTo?: string
}

export interface RouterShape {
  experts: number
  bias: boolean
}

export interface EmbeddingShape {
  vocab: number
  channels: number
  /** the token whose row is never trained: torch's padding_idx */
  padding?: number
}

/** Linears of as many experts: matrices one below the other in one tensor. */
export interface ExpertsShape {
  experts: number
  in: number
  out: number
  /** matrices are (in, out); else (out, in) */
  turned?: boolean
  /** how much of its expert's bias each row gets (M, 1); the tensor `${name}_bias` has them (experts, out). Of turned matrices only */
  bias?: Tensor
}

/** Keys and values of all tokens that a pass's queries may see. */
export interface Seen {
  k: Tensor
  v: Tensor
  /** where they lie in a KV cache; null: they are the pass's own tokens */
  pages: Pages | null
}

export interface Trace extends Builder {
  /** T, the tokens of this pass */
  readonly tokens: number
  /** type of activations: `dtype` in transformers */
  readonly activation: DType
  /** x = W[ids]  (T, C) */
  embed(path: string, shape: EmbeddingShape): Tensor
  /** What the adapter chosen for `path` makes of x (T, in) -> (T, out) */
  linear(path: string, x: Tensor, shape: LinearShape): Tensor
  /** what a router makes of x (T, in) -> logits (T, experts): its weight stays as exact as activations are */
  router(path: string, x: Tensor, shape: RouterShape): Tensor
  /** x (M, in), rows by expert as `slots` lie -> (M, out), by the tensor `name` of the checkpoint and what the adapter has beside it */
  experts(name: string, x: Tensor, slots: Dispatch, shape: ExpertsShape): Tensor
  /** a buffer of the checkpoint (1, size): f32 whatever the activations' type, never trained */
  buffer(path: string, size: number): Tensor
  /** a norm's weight (1, size), trained or not */
  normWeight(path: string, size: number): Tensor
  /** scores of attention's heads that no key has (1, heads), trained or not */
  sinks(path: string, heads: number): Tensor
  /** Runs `body` for each block; what a block's policy (keep, recompute …) applies to. Paths inside are relative to `${path}.${i}`. */
  blocks(path: string, count: number, x: Tensor, body: (t: Trace, x: Tensor, index: number) => Tensor): Tensor
  /** a + b: it rides in the product that makes one of them where it can */
  add(a: Tensor, b: Tensor): Tensor
  /** keys and values (T, G · D) of the pass, and of the conversation before it where there is one */
  seen(k: Tensor, v: Tensor): Seen
  /** a small table in f32 that is the same for every pass; `name` says all that it is made of */
  constant(name: string, values: readonly number[]): Tensor
  /** of how many rows of each of the pass's micro-batches a token is part (T, G) f32; null where a pass knows no rows: generation */
  readonly rows: Tensor | null
  /** keeps a tensor that something after the blocks is made of, under a name for all such */
  keep(name: string, tensor: Tensor): void
  /** what was kept, in order */
  kept(name: string): readonly Tensor[]
  /** a tensor that the host reads after a pass */
  result(name: string, tensor: Tensor): void
  /** made once a pass, outside the blocks */
  once(name: string, make: () => Tensor): Tensor
}
