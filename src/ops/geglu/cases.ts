/** GeGLU and its backward: dense, as the two halves of a fused gate_up product, and where the tanh saturates. */
import type { CaseInput, OpCase } from '../op.ts'
import { gegluBackwardOp, gegluOp } from './op.ts'

interface Setup {
  rows: number
  cols: number
  /** of the gate */
  scale?: number
  /** gate and up are columns of one width */
  fused?: boolean
  bench?: boolean
}

function both(name: string, s: Setup): OpCase[] {
  const part = (from: number, scale = 1): CaseInput => {
    return { rows: s.rows, cols: s.cols, dtype: 'act', scale, ...(s.fused ? { within: { cols: 2 * s.cols, from } } : {}) }
  }
  const inputs = [part(0, s.scale), part(s.cols)]
  // f32: exp to 2e-7 and 6e-8 · |2u|, where |2u| < 12 (beyond, σ is 0 or 1), then six roundings. bf16: 2⁻⁸
  const tolerance = { f32: 1.2e-6, bf16: 4e-3 }
  const dH: CaseInput = { rows: s.rows, cols: s.cols, dtype: 'act' }
  return [
    { name, op: gegluOp, attrs: {}, inputs, tolerance, bench: s.bench },
    { name, op: gegluBackwardOp, attrs: {}, inputs: [dH, ...inputs], tolerance, bench: s.bench },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one value', { rows: 1, cols: 1 }),
  ...both('odd sizes', { rows: 5, cols: 147 }),
  ...both('halves of a fused product', { rows: 4, cols: 50, fused: true }),
  ...both('saturated', { rows: 3, cols: 64, scale: 60 }),
  ...both('Gemma-2-2B, 1,024 tokens', { rows: 1024, cols: 9216, bench: true }),
  ...both('Gemma-2-9B, 1,024 tokens', { rows: 1024, cols: 14336, bench: true }),
]
