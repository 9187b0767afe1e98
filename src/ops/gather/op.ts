/**
 * Rows in and out of the head's chunks. Chunk row i is the head position cursor + i; past `headCount` it is empty (zeros in, nothing out).
 * `advance` moves the cursor on, so that one captured segment serves every chunk.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor, whole } from '../op.ts'

const chunkOf = { chunk: whole() }
const distance = { by: whole() }

export const gatherOp: Op<typeof chunkOf> = {
  name: 'gather',
  attrs: chunkOf,
  /** inputs: h (T, C), headPositions (T, 1) i32, cursor (1, 1) i32, headCount (1, 1) i32 */
  outputs: ([h], { chunk }) => [{ rows: chunk, cols: h!.cols, dtype: h!.dtype }],
  flops: () => 0,
  bytes: ({ outputs: [y] }) => 2 * y!.rows * y!.cols * (y!.dtype === 'f32' ? 4 : 2),
}

export const scatterOp: Op<NoAttrs> = {
  name: 'scatter',
  attrs: none,
  /** inputs: dChunk (chunk, C), headPositions, cursor, headCount, dH (T, C), whose rows are overwritten */
  outputs: ([, , , , dH]) => [{ rows: dH!.rows, cols: dH!.cols, dtype: dH!.dtype, into: dH! }],
  flops: () => 0,
  bytes: ({ inputs: [d] }) => 2 * d!.rows * d!.cols * (d!.dtype === 'f32' ? 4 : 2),
}

export const weightedScatterOp: Op<NoAttrs> = {
  name: 'weighted_scatter',
  attrs: none,
  /** inputs: d (T, C), row i of head position i; headPositions (T, 1) i32, ascending, headCount (1, 1) i32, weights (T, 1) f32, absent: 1 */
  outputs: ([d]) => [{ rows: d!.rows, cols: d!.cols, dtype: d!.dtype }],
  flops: ({ outputs: [y] }) => 2 * y!.rows * y!.cols,
  bytes: ({ outputs: [y] }) => 2 * y!.rows * y!.cols * (y!.dtype === 'f32' ? 4 : 2),
}

export const zerosOp: Op<NoAttrs> = {
  name: 'zeros',
  attrs: none,
  /** inputs: like (T, C): shape and dtype only */
  outputs: ([like]) => [{ rows: like!.rows, cols: like!.cols, dtype: like!.dtype }],
  flops: () => 0,
  bytes: ({ outputs: [y] }) => y!.rows * y!.cols * (y!.dtype === 'f32' ? 4 : 2),
}

export const advanceOp: Op<typeof distance> = {
  name: 'advance',
  attrs: distance,
  outputs: ([cursor]) => [{ rows: 1, cols: 1, dtype: 'i32', into: cursor! }],
  flops: () => 0,
}

const chunkInputs = (b: Builder) => [b.input('headPositions'), b.input('cursor'), b.input('headCount')]

/** y (chunk, C): the head's inputs of this chunk */
export function gather(b: Builder, h: Tensor, chunk: number): Tensor {
  return b.apply(gatherOp, [h, ...chunkInputs(b)], { chunk }, 'head')[0]!
}

export function scatter(b: Builder, dChunk: Tensor, dH: Tensor): void {
  b.apply(scatterOp, [dChunk, ...chunkInputs(b), dH], {}, 'head')
}

/** a chunk's rows into `d` (T, C) in the order of head positions */
export function inOrder(b: Builder, dChunk: Tensor, d: Tensor): void {
  b.apply(scatterOp, [dChunk, b.input('ordinal'), b.input('cursor'), b.input('headCount'), d], {}, 'head')
}

/** dH (T, C): of each row Σ d[i] over its head positions i, zeros where it has none; `weighed`: times entryWeight[i], each being of one entry */
export function weightedScatter(b: Builder, d: Tensor, weighed: boolean): Tensor {
  const weights = weighed ? b.input('entryWeight') : null
  return b.apply(weightedScatterOp, [d, b.input('headPositions'), b.input('headCount'), weights], {}, 'head')[0]!
}

export function zeros(b: Builder, like: Tensor): Tensor {
  return b.apply(zerosOp, [like], {}, 'head')[0]!
}

export function advance(b: Builder, by: number): void {
  b.apply(advanceOp, [b.input('cursor')], { by }, 'head')
}
