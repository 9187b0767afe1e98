/** Cases of what logits say by themselves: one token, a second chunk that headCount cuts, sure and dead even rows. */
import type { CaseInput, OpCase } from '../op.ts'
import { logitStatsOp, STATS } from './op.ts'

interface Setup {
  chunk: number
  vocab: number
  /** head positions of the pass */
  positions: number
  cursor?: number
  headCount?: number
  scale?: number
  bench?: boolean
}

function one(name: string, { chunk, vocab, positions, cursor = 0, headCount = positions, scale, bench }: Setup): OpCase {
  const number = (value: number): CaseInput => ({ rows: 1, cols: 1, dtype: 'i32', values: [value] })
  return {
    name,
    op: logitStatsOp,
    attrs: {},
    inputs: [
      { rows: chunk, cols: vocab, dtype: 'act', scale: scale ?? 1 },
      number(cursor),
      number(headCount),
      { rows: positions, cols: STATS, dtype: 'f32', values: new Float64Array(STATS * positions) },
    ],
    // sums in f32 of up to `vocab` terms, each 2e-7 off; both numbers are f32 also in a bf16 run, whose logits are the reference's too
    tolerance: { f32: 2e-6, bf16: 3e-3 },
    bench,
  }
}

export const cases: readonly OpCase[] = [
  one('one position', { chunk: 1, vocab: 5, positions: 1 }),
  one('odd sizes', { chunk: 5, vocab: 131, positions: 5 }),
  one('second chunk, cut by headCount', { chunk: 4, vocab: 77, positions: 8, cursor: 4, headCount: 6 }),
  one('a chunk past the last position', { chunk: 2, vocab: 19, positions: 4, cursor: 2, headCount: 2 }),
  one('sure of one token', { chunk: 5, vocab: 4100, positions: 5, scale: 20 }),
  one('dead even', { chunk: 2, vocab: 50, positions: 2, scale: 0 }),
  one('SmolLM2-135M, 256 positions', { chunk: 256, vocab: 49152, positions: 256, bench: true }),
]
