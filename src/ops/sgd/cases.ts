/** SGD's cases: plain and with momentum, with and without clipping, decay, Nesterov and a rate of its own. */
import type { CaseInput, OpCase } from '../op.ts'
import { sgdMomentumOp, sgdOp } from './op.ts'

interface Setup {
  n: number
  lr: number
  weightDecay: number
  rate?: number
  momentum?: number
  nesterov?: boolean
  /** 0: no clipping */
  maxNorm: number
  norm: number
  bench?: boolean
}

const flat = (n: number, rest: Partial<CaseInput> = {}): CaseInput => ({ rows: 1, cols: n, dtype: 'f32', space: 'store', ...rest })

function one(name: string, s: Setup): OpCase {
  const { momentum = 0, nesterov = false, rate = 1, weightDecay } = s
  return {
    name: `${momentum > 0 ? 'momentum, ' : ''}${name}`,
    op: momentum > 0 ? sgdMomentumOp : sgdOp,
    attrs: { weightDecay, momentum, nesterov, rate },
    inputs: [
      flat(s.n),
      flat(s.n, { scale: 0.01 }),
      ...(momentum > 0 ? [flat(s.n, { scale: 0.05 })] : []),
      { rows: 1, cols: 1, dtype: 'f32', values: [s.norm] },
      { rows: 1, cols: 4, dtype: 'f32', values: [s.lr, s.maxNorm, 3, 0] },
    ],
    // the new values: two to four roundings of 2⁻²⁴ each; lr, decay and momentum rounded to f32
    tolerance: { f32: 3e-7, bf16: 3e-7 },
    bench: s.bench,
  }
}

function both(name: string, s: Setup): OpCase[] {
  return [one(name, s), one(name, { momentum: 0.9, ...s })]
}

export const cases: readonly OpCase[] = [
  ...both('plain', { n: 512, lr: 1e-2, weightDecay: 0, maxNorm: 0, norm: 3 }),
  ...both('one element', { n: 1, lr: 1e-3, weightDecay: 0.01, maxNorm: 1, norm: 0.4 }),
  ...both('clipped, with decay, at a rate of its own', { n: 1100, lr: 5e-2, weightDecay: 0.1, rate: 0.25, maxNorm: 1, norm: 2.5 }),
  one('Nesterov', { n: 777, lr: 1e-2, weightDecay: 0.01, momentum: 0.8, nesterov: true, maxNorm: 1, norm: 0.01 }),
  ...both('SmolLM2-135M, LoRA r 16', { n: 4_884_480, lr: 1e-2, weightDecay: 0, maxNorm: 1, norm: 2, bench: true }),
]
