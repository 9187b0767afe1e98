/** Cases of the targets' log-probabilities: several targets a position, none, negative weights, a chunk that headCount cuts. */
import type { CaseInput, OpCase } from '../op.ts'
import { SCORES, targetLogProbsBackwardOp, targetLogProbsOp } from './op.ts'

interface Setup {
  chunk: number
  vocab: number
  /** targets of each position of the pass */
  entries: readonly number[]
  cursor?: number
  headCount?: number
  /** normal logits times this: 20 makes the model sure of one token */
  scale?: number
  /** logits from this column on are −∞, as whoever forbids tokens has them */
  forbidden?: number
  /** targets count from the last column down */
  fromTheEnd?: boolean
  bench?: boolean
}

const one = (dtype: 'i32' | 'f32', value: number): CaseInput => ({ rows: 1, cols: 1, dtype, values: [value] })

/** logits between −2 and 2 as bf16 holds them, and −∞ */
function allowed({ chunk, vocab }: Setup, forbidden: number): Float64Array {
  return Float64Array.from({ length: chunk * vocab }, (_, i) => (i % vocab < forbidden ? ((i * 37) % 64) / 16 - 2 : -Infinity))
}

function both(name: string, s: Setup): OpCase[] {
  const start = [0]
  for (const n of s.entries) start.push(start.at(-1)! + n)
  const count = start.at(-1)!
  const list = (dtype: 'i32' | 'f32', value: (e: number) => number): CaseInput => ({
    rows: count,
    cols: 1,
    dtype,
    values: Array.from({ length: count }, (_, e) => value(e)),
  })
  const inputs: CaseInput[] = [
    {
      rows: s.chunk,
      cols: s.vocab,
      dtype: 'act',
      scale: s.scale ?? 1,
      ...(s.forbidden === undefined ? {} : { values: allowed(s, s.forbidden) }),
    },
    { rows: start.length, cols: 1, dtype: 'i32', values: start },
    list('i32', (e) => (s.fromTheEnd ? s.vocab - 1 - ((e * 7919) % s.vocab) : (e * 7919) % (s.forbidden ?? s.vocab))), // two entries of a position may name the same target when the vocabulary is small
    list('f32', (e) => (e % 3 === 2 ? -0.75 : 1 + (e % 2) / 2)),
    one('i32', s.cursor ?? 0),
    one('i32', s.headCount ?? s.entries.length),
    { rows: count, cols: SCORES, dtype: 'f32', values: new Float64Array(SCORES * count) },
  ]
  // f32 sums of up to `vocab` exponentials, each 2e-7 off; logp is f32 also in a bf16 run, dlogits is then rounded to 8 bits
  const tolerance = { f32: 2e-6, bf16: 3e-3 }
  return [
    { name, op: targetLogProbsOp, attrs: {}, inputs, tolerance, bench: s.bench },
    {
      name: `${name}, with gradient`,
      op: targetLogProbsBackwardOp,
      attrs: {},
      inputs: [...inputs, one('f32', 0.37)],
      tolerance,
      bench: s.bench,
    },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one position', { chunk: 1, vocab: 5, entries: [1] }),
  ...both('several targets and none', { chunk: 6, vocab: 131, entries: [1, 3, 0, 2, 1, 1] }),
  ...both('the same target twice', { chunk: 3, vocab: 3, entries: [4, 2, 3] }),
  ...both('second chunk, cut by headCount', { chunk: 4, vocab: 77, entries: [1, 2, 1, 1, 2, 1, 0, 0], cursor: 4, headCount: 6 }),
  ...both('a chunk past the last position', { chunk: 2, vocab: 19, entries: [1, 1, 1, 1], cursor: 2, headCount: 2 }),
  ...both('sure of one token', { chunk: 5, vocab: 4100, entries: [1, 1, 2, 1, 1], scale: 20 }),
  ...both('one dead even row: the first of equals is the likeliest', { chunk: 2, vocab: 50, entries: [2, 2], scale: 0 }),
  ...both('a vocabulary of several segments', { chunk: 4, vocab: 40_000, entries: [1, 3, 2, 2] }),
  ...both('a last segment of five', { chunk: 3, vocab: 16_389, entries: [2, 2, 2], fromTheEnd: true }),
  ...both('segments, cut by headCount', { chunk: 3, vocab: 17_000, entries: [1, 1, 1, 1, 0], cursor: 2, headCount: 4 }),
  ...both('segments of equals: the first is the likeliest', { chunk: 2, vocab: 33_000, entries: [1, 2], scale: 0 }),
  // 50,257 tokens in 50,432 columns: in the last segment whole vectors of threads, and threads, are −∞
  ...both('columns of no token at the end', { chunk: 2, vocab: 50_432, entries: [1, 2], forbidden: 50_257 }),
  ...both('a last segment of no token', { chunk: 2, vocab: 16_640, entries: [1, 2], forbidden: 16_384 }),
  ...both('SmolLM2-135M, 256 positions', { chunk: 256, vocab: 49152, entries: new Array<number>(256).fill(1), bench: true }),
  ...both('Gemma-2-9B, 256 positions', { chunk: 256, vocab: 256_000, entries: new Array<number>(256).fill(1), bench: true }),
]
