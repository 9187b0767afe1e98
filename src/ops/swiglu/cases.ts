/** SwiGLU and its backward: dense, as the two halves of a fused gate_up product, and where the sigmoid saturates. */
import type { CaseInput, OpCase } from '../op.ts'
import { swigluBackwardOp, swigluOp } from './op.ts'

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
  // f32: exp to 2e-7 and 6e-8 · |gate| (|gate| < 5, but for saturated ones, whose sigmoid is 0 or 1), then four roundings. bf16: 2⁻⁸
  const tolerance = { f32: 6e-7, bf16: 4e-3 }
  const dH: CaseInput = { rows: s.rows, cols: s.cols, dtype: 'act' }
  return [
    { name, op: swigluOp, attrs: {}, inputs, tolerance, bench: s.bench },
    { name, op: swigluBackwardOp, attrs: {}, inputs: [dH, ...inputs], tolerance, bench: s.bench },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one value', { rows: 1, cols: 1 }),
  ...both('odd sizes', { rows: 5, cols: 147 }),
  ...both('halves of a fused product', { rows: 4, cols: 50, fused: true }),
  ...both('saturated', { rows: 3, cols: 64, scale: 60 }),
  ...both('SmolLM2-135M, 2,048 tokens', { rows: 2048, cols: 1536, bench: true }),
  ...both('8B, 1,024 tokens', { rows: 1024, cols: 14336, bench: true }),
]
