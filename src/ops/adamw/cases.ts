/** AdamW's cases: the first step and a late one, with and without clipping and decay; the same in 8 bits. */
import { dynamicMap } from '../../formats/dynamic-map.ts'
import type { CaseInput, OpCase } from '../op.ts'
import { adamw8bitOp, adamwOp } from './op.ts'

interface Setup {
  n: number
  lr: number
  t: number
  weightDecay: number
  rate?: number
  /** 0: no clipping */
  maxNorm: number
  norm: number
  bench?: boolean
}

const flat = (n: number, rest: Partial<CaseInput> = {}): CaseInput => ({ rows: 1, cols: n, dtype: 'f32', space: 'store', ...rest })
const attrsOf = (s: Setup) => ({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: s.weightDecay, rate: s.rate ?? 1 })
const stepInputs = (s: Setup): CaseInput[] => [
  { rows: 1, cols: 1, dtype: 'f32', values: [s.norm] },
  { rows: 1, cols: 4, dtype: 'f32', values: [s.lr, s.maxNorm, s.t, 0] },
]
/** n numbers; a loop, for the case that is timed has millions, which whoever loads the cases would wait for */
function numbers(n: number, at: (i: number) => number): Float64Array {
  const values = new Float64Array(n)
  for (let i = 0; i < n; i++) values[i] = at(i)
  return values
}
/** what squares of gradients look like, 0 at the first step */
const seconds = (s: Setup) => numbers(s.n, (i) => (s.t === 1 ? 0 : (1e-4 * ((i * 37) % 101)) / 101))

function plain(name: string, s: Setup): OpCase {
  return {
    name,
    op: adamwOp,
    attrs: attrsOf(s),
    inputs: [
      flat(s.n),
      flat(s.n, { scale: 0.01 }),
      flat(s.n, { scale: s.t === 1 ? 0 : 0.01 }),
      flat(s.n, { values: seconds(s) }),
      ...stepInputs(s),
    ],
    // the new values: two or three roundings of 2⁻²⁴ each; β, 1 − β and lr rounded to f32
    tolerance: { f32: 3e-7, bf16: 3e-7 },
    bench: s.bench,
  }
}

function eightBit(name: string, s: Setup): OpCase {
  const blocks = Math.ceil(s.n / 256)
  const codes = (step: number): CaseInput => {
    return {
      rows: 1,
      cols: s.n,
      dtype: 'u8',
      space: 'store',
      values: numbers(s.n, (i) => (s.t === 1 ? 127 : (i * step) % 256)),
    }
  }
  const scales = (size: number) =>
    flat(blocks, { values: Array.from({ length: blocks }, (_, i) => (s.t === 1 ? 0 : size * (1 + (i % 3)))) })
  return {
    name: `8 bits, ${name}`,
    op: adamw8bitOp,
    attrs: attrsOf(s),
    inputs: [
      flat(s.n),
      flat(s.n, { scale: 0.01 }),
      codes(89),
      codes(53),
      scales(0.02),
      scales(1e-4),
      flat(256, { values: dynamicMap(true) }),
      flat(256, { values: dynamicMap(false) }),
      ...stepInputs(s),
    ],
    // codes are whole numbers: one that differs by 1 in 1,000 of about 150 would be 2e-4, and none does; the rest as above
    tolerance: { f32: 5e-7, bf16: 5e-7 },
    bench: s.bench,
  }
}

function both(name: string, s: Setup): OpCase[] {
  return [plain(name, s), eightBit(name, s)]
}

export const cases: readonly OpCase[] = [
  ...both('first step', { n: 512, lr: 2e-4, t: 1, weightDecay: 0, maxNorm: 0, norm: 3 }),
  ...both('one element', { n: 1, lr: 1e-3, t: 3, weightDecay: 0.01, maxNorm: 1, norm: 0.4 }),
  ...both('clipped, with decay', { n: 1100, lr: 5e-2, t: 7, weightDecay: 0.1, maxNorm: 1, norm: 2.5 }),
  ...both('at a rate of its own', { n: 600, lr: 1e-3, t: 9, weightDecay: 0.1, rate: 16, maxNorm: 0, norm: 1 }),
  ...both('late, not clipped', { n: 777, lr: 1e-3, t: 5000, weightDecay: 0.01, maxNorm: 1, norm: 0.01 }),
  ...both('SmolLM2-135M, LoRA r 16', { n: 4_884_480, lr: 2e-4, t: 10, weightDecay: 0.01, maxNorm: 1, norm: 2, bench: true }),
]
