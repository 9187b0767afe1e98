/** Cases of RMSprop and Adagrad: the first step and a later one, with and without clipping, decay and a rate of its own. */
import type { CaseInput, OpCase } from '../op.ts'
import { rmsStepOp } from './op.ts'

interface Setup {
  n: number
  lr: number
  /** of v: none yet, or so much */
  v?: number
  weightDecay: number
  rate?: number
  /** 0: no clipping */
  maxNorm: number
  norm: number
  bench?: boolean
}

const RULES = { RMSprop: { kept: 0.99, added: 1 - 0.99, eps: 1e-8 }, Adagrad: { kept: 1, added: 1, eps: 1e-10 } } as const

const flat = (n: number, rest: Partial<CaseInput> = {}): CaseInput => ({ rows: 1, cols: n, dtype: 'f32', space: 'store', ...rest })

function both(name: string, s: Setup): OpCase[] {
  return Object.entries(RULES).map(([rule, attrs]) => ({
    name: `${rule}, ${name}`,
    op: rmsStepOp,
    attrs: { ...attrs, weightDecay: s.weightDecay, rate: s.rate ?? 1 },
    inputs: [
      flat(s.n),
      flat(s.n, { scale: 0.01 }),
      // a mean of squares is never below 0
      s.v === undefined
        ? flat(s.n, { scale: 0 })
        : flat(s.n, { values: Array.from({ length: s.n }, (_, i) => (s.v! * (1 + (i % 7))) / 7) }),
      { rows: 1, cols: 1, dtype: 'f32', values: [s.norm] },
      { rows: 1, cols: 4, dtype: 'f32', values: [s.lr, s.maxNorm, 3, 0] },
    ],
    // g², v, √v, the quotient and the new value: at most eight roundings of 2⁻²⁴, of moves smaller than the values; factors rounded to f32
    tolerance: { f32: 5e-7, bf16: 5e-7 },
    bench: s.bench,
  }))
}

export const cases: readonly OpCase[] = [
  ...both('first step', { n: 512, lr: 1e-3, weightDecay: 0, maxNorm: 0, norm: 3 }),
  ...both('one element', { n: 1, lr: 1e-3, v: 1e-4, weightDecay: 0.01, maxNorm: 1, norm: 0.4 }),
  ...both('clipped, with decay, at a rate of its own', { n: 1100, lr: 1e-2, v: 1e-3, weightDecay: 0.1, rate: 0.25, maxNorm: 1, norm: 2.5 }),
]
