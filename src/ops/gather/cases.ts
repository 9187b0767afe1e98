/** Chunks of the head: full, cut by headCount, past the last position; in place of other rows; values and indices. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { advanceOp, gatherOp, scatterOp, weightedScatterOp, zerosOp } from './op.ts'

interface Setup {
  tokens: number
  cols: number
  chunk: number
  cursor: number
  headCount: number
  dtype?: 'act' | DType
  within?: { cols: number; from: number }
  bench?: boolean
}

// copies
const tolerance = { f32: 0, bf16: 0 }
const one = (value: number): CaseInput => ({ rows: 1, cols: 1, dtype: 'i32', values: [value] })

/** every position that has a target, the others' places filled with 0 */
function place(s: Setup): CaseInput[] {
  const values = Array.from({ length: s.tokens }, (_, i) => (i < s.headCount ? Math.floor((i * s.tokens) / s.headCount) : 0))
  return [{ rows: s.tokens, cols: 1, dtype: 'i32', values }, one(s.cursor), one(s.headCount)]
}

function both(name: string, s: Setup): OpCase[] {
  const rows = (n: number): CaseInput => ({ rows: n, cols: s.cols, dtype: s.dtype ?? 'act', ...(s.within ? { within: s.within } : {}) })
  return [
    { name, op: gatherOp, attrs: { chunk: s.chunk }, inputs: [rows(s.tokens), ...place(s)], tolerance, bench: s.bench },
    {
      name,
      op: scatterOp,
      attrs: {},
      inputs: [rows(s.chunk), ...place(s), { rows: s.tokens, cols: s.cols, dtype: s.dtype ?? 'act' }],
      tolerance,
      bench: s.bench,
    },
  ]
}

/** Every third position twice: rows part there. Sums of two products in f32, rounded once. */
function weighted(name: string, s: Omit<Setup, 'chunk' | 'cursor'>, weights = true): OpCase {
  const values = Array.from({ length: s.tokens }, (_, i) => (i < s.headCount ? Math.min(s.tokens - 1, i - Math.floor((i + 1) / 4)) : 0))
  const rows: CaseInput = { rows: s.tokens, cols: s.cols, dtype: 'act', ...(s.within ? { within: s.within } : {}) }
  return {
    name,
    op: weightedScatterOp,
    attrs: {},
    inputs: [
      rows,
      { rows: s.tokens, cols: 1, dtype: 'i32', values },
      one(s.headCount),
      weights ? { rows: s.tokens, cols: 1, dtype: 'f32' } : null,
    ],
    tolerance: { f32: 2e-7, bf16: 4e-3 },
    bench: s.bench,
  }
}

export const cases: readonly OpCase[] = [
  ...both('all positions', { tokens: 6, cols: 21, chunk: 6, cursor: 0, headCount: 6 }),
  ...both('second chunk, cut by headCount', { tokens: 20, cols: 33, chunk: 5, cursor: 5, headCount: 8 }),
  ...both('past the last position', { tokens: 9, cols: 16, chunk: 4, cursor: 8, headCount: 6 }),
  ...both('indices', { tokens: 14, cols: 1, chunk: 8, cursor: 0, headCount: 7, dtype: 'i32' }),
  ...both('columns of a wider tensor', { tokens: 8, cols: 10, chunk: 3, cursor: 2, headCount: 8, within: { cols: 25, from: 11 } }),
  weighted('a position in one row', { tokens: 1, cols: 5, headCount: 1 }),
  weighted('positions of several entries', { tokens: 37, cols: 33, headCount: 22 }),
  weighted('sums', { tokens: 37, cols: 33, headCount: 22 }, false),
  weighted('no position', { tokens: 4, cols: 16, headCount: 0 }),
  weighted('weighted columns of a wider tensor', { tokens: 9, cols: 10, headCount: 9, within: { cols: 25, from: 11 } }),
  weighted('SmolLM2-135M, 2,048 tokens', { tokens: 2048, cols: 576, headCount: 1400, bench: true }),
  { name: 'values', op: zerosOp, attrs: {}, inputs: [{ rows: 7, cols: 19, dtype: 'act' }], tolerance },
  { name: 'f32', op: zerosOp, attrs: {}, inputs: [{ rows: 3, cols: 1, dtype: 'f32' }], tolerance },
  { name: 'by a chunk', op: advanceOp, attrs: { by: 256 }, inputs: [one(512)], tolerance },
  ...both('SmolLM2-135M, 512 of 2,048 tokens', { tokens: 2048, cols: 576, chunk: 512, cursor: 512, headCount: 2000, bench: true }),
  { name: '8B, 2,048 tokens', op: zerosOp, attrs: {}, inputs: [{ rows: 2048, cols: 4096, dtype: 'act' }], tolerance, bench: true },
]
