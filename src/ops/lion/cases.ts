/** Lion's cases: the first step and a later one, with and without clipping, decay and a rate of its own. */
import type { CaseInput, OpCase } from '../op.ts'
import { lionOp } from './op.ts'

interface Setup {
  n: number
  lr: number
  first?: boolean
  weightDecay: number
  rate?: number
  /** 0: no clipping */
  maxNorm: number
  norm: number
  bench?: boolean
}

const flat = (n: number, rest: Partial<CaseInput> = {}): CaseInput => ({ rows: 1, cols: n, dtype: 'f32', space: 'store', ...rest })

function plain(name: string, s: Setup): OpCase {
  return {
    name,
    op: lionOp,
    attrs: { beta1: 0.9, beta2: 0.99, weightDecay: s.weightDecay, rate: s.rate ?? 1 },
    inputs: [
      flat(s.n),
      flat(s.n, { scale: 0.01 }),
      flat(s.n, { scale: s.first ? 0 : 0.01 }),
      { rows: 1, cols: 1, dtype: 'f32', values: [s.norm] },
      { rows: 1, cols: 4, dtype: 'f32', values: [s.lr, s.maxNorm, 5, 0] },
    ],
    // the new values: two or three roundings of 2⁻²⁴ each; β and 1 − β rounded to f32. A sign is never close: the moments drawn are not within rounding of 0
    tolerance: { f32: 3e-7, bf16: 3e-7 },
    bench: s.bench,
  }
}

export const cases: readonly OpCase[] = [
  plain('first step', { n: 512, lr: 1e-4, first: true, weightDecay: 0, maxNorm: 0, norm: 3 }),
  plain('one element', { n: 1, lr: 1e-3, weightDecay: 0.01, maxNorm: 1, norm: 0.4 }),
  plain('clipped, with decay, at a rate of its own', { n: 1100, lr: 5e-2, weightDecay: 0.1, rate: 4, maxNorm: 1, norm: 2.5 }),
  {
    ...plain('zeros stay where they are', { n: 300, lr: 1e-3, first: true, weightDecay: 0, maxNorm: 0, norm: 0 }),
    inputs: [
      flat(300),
      flat(300, { values: Array.from({ length: 300 }, (_, i) => (i % 3) - 1) }),
      flat(300, { scale: 0 }),
      { rows: 1, cols: 1, dtype: 'f32', values: [1] },
      { rows: 1, cols: 4, dtype: 'f32', values: [1e-3, 0, 1, 0] },
    ],
  },
  plain('SmolLM2-135M, LoRA r 16', { n: 4_884_480, lr: 1e-4, weightDecay: 0.01, maxNorm: 1, norm: 2, bench: true }),
]
