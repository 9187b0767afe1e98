/** What the host uploads for a pass of T tokens; data/passes.ts makes the values. */

import type { DType } from '../ops/tensor.ts'
import type { Recorder } from './recorder.ts'

const TOKEN_INPUTS = ['ids', 'depth', 'position', 'long', 'visibleFrom', 'visibleUntil', 'row'] as const

/** [name, rows, cols, dtype] */
type Declaration = readonly [string, number, number, DType]

/**
 * @param scores numbers of an entry that the host reads, and of a head position; 0: nothing is scored
 * @param batches G, the micro-batches that a pass may hold
 */
export function declarePassInputs(r: Recorder, tokens: number, scores: { width: number; stats?: number }, batches: number): void {
  const head: Declaration[] = [
    ['headPositions', tokens, 1, 'i32'],
    ['ordinal', tokens, 1, 'i32'],
    ['headCount', 1, 1, 'i32'],
    ['cursor', 1, 1, 'i32'],
    ['firstCursor', 1, 1, 'i32'],
    ['entryStart', tokens + 1, 1, 'i32'],
    ['entryTarget', tokens, 1, 'i32'],
    ['entryWeight', tokens, 1, 'f32'],
    ...(scores.width > 0 ? [['scores', tokens, scores.width, 'f32'] as const] : []),
    ...(scores.stats ? [['stats', tokens, scores.stats, 'f32'] as const] : []),
    ['lossScale', 1, 1, 'f32'],
    ['batchRows', tokens, batches, 'f32'],
    ['termScale', 1, batches, 'f32'],
    ['stepInts', 1, 4, 'i32'],
  ]
  for (const name of TOKEN_INPUTS) r.declareInput(name, tokens, 'i32')
  for (const [name, rows, cols, dtype] of head) r.declareInput(name, rows, dtype, cols)
}

/** A pass of T new tokens of any texts over a KV cache: of each its place in the cache, and the pages of its text. */
export function declareCachedInputs(r: Recorder, tokens: number, pages: number): void {
  for (const name of ['ids', 'position', 'slot', 'long', 'headPositions']) r.declareInput(name, tokens, 'i32')
  r.declareInput('pages', tokens, 'i32', pages)
  for (const name of ['cursor', 'headCount']) r.declareInput(name, 1, 'i32')
}
