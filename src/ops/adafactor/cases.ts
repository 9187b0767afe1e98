/** Adafactor's cases: matrices of odd sizes, several of them, vectors; the first step and a later one; clipped, decayed, at a rate of its own. */
import type { CaseInput, OpCase } from '../op.ts'
import { adafactorOp, adafactorState } from './op.ts'

interface Setup {
  matrices?: number
  /** 0: a vector of `cols` */
  rows: number
  cols: number
  first?: boolean
  weightDecay?: number
  rate?: number
  /** 0: no clipping */
  maxNorm?: number
  norm?: number
  gradient?: number
  bench?: boolean
}

const flat = (n: number, rest: Partial<CaseInput> = {}): CaseInput => ({ rows: 1, cols: n, dtype: 'f32', space: 'store', ...rest })

function plain(name: string, s: Setup): OpCase {
  const { matrices = 1, rows, gradient = 0.01 } = s
  const n = matrices * Math.max(1, rows) * s.cols
  const size = adafactorState(n, { matrices, rows })
  // second moments are positive
  const moments = Array.from({ length: size }, (_, i) => (s.first ? 0 : gradient ** 2 * (0.5 + ((i * 37) % 64) / 64)))
  return {
    name,
    op: adafactorOp,
    attrs: { matrices, rows, weightDecay: s.weightDecay ?? 0, rate: s.rate ?? 1 },
    inputs: [
      flat(n),
      flat(n, { scale: gradient }),
      flat(size, { values: moments }),
      { rows: 1, cols: 1, dtype: 'f32', values: [s.norm ?? 1] },
      { rows: 1, cols: 4, dtype: 'f32', values: [1e-3, s.maxNorm ?? 0, s.first ? 1 : 7, 0] },
    ],
    // p: two roundings of 2⁻²⁴; the state's means are sums of f32 squares in tens of terms at most before they go on in f64: some roundings each
    tolerance: { f32: 1e-6, bf16: 1e-6 },
    bench: s.bench,
  }
}

export const cases: readonly OpCase[] = [
  plain('one element', { rows: 1, cols: 1 }),
  plain('first step', { rows: 16, cols: 96, first: true }),
  plain('odd sizes, clipped, with decay', { rows: 37, cols: 71, weightDecay: 0.1, maxNorm: 1, norm: 2.5 }),
  plain('low rank: few rows', { rows: 3, cols: 1030, rate: 4 }),
  plain('low rank: few columns', { rows: 1030, cols: 3, maxNorm: 1, norm: 0.4 }),
  plain('more rows than one share has', { rows: 4133, cols: 5 }),
  plain('several matrices', { matrices: 5, rows: 19, cols: 33, weightDecay: 0.01 }),
  plain('a vector', { rows: 0, cols: 1100 }),
  plain('a vector, first step, clipped', { rows: 0, cols: 259, first: true, maxNorm: 1, norm: 3, weightDecay: 0.1 }),
  {
    ...plain('no gradient', { rows: 8, cols: 24, first: true }),
    inputs: [
      flat(192),
      flat(192, { scale: 0 }),
      flat(32, { scale: 0 }),
      { rows: 1, cols: 1, dtype: 'f32', values: [0] },
      { rows: 1, cols: 4, dtype: 'f32', values: [1e-3, 1, 1, 0] },
    ],
  },
  plain('an embedding', { rows: 49_152, cols: 576, bench: true }),
]
