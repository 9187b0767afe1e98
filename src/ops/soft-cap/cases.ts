/** Soft caps: within the cap, far beyond it, columns of a wider product, a chunk of logits. */
import type { CaseInput, OpCase } from '../op.ts'
import { softCapBackwardOp, softCapOp } from './op.ts'

interface Setup {
  rows: number
  cols: number
  cap: number
  /** of x; default 1 */
  scale?: number
  within?: CaseInput['within']
  bench?: boolean
}

function both(name: string, { rows, cols, cap, scale = 1, within, bench }: Setup): OpCase[] {
  const part = (size: number): CaseInput => ({ rows, cols, dtype: 'act', scale: size, ...(within ? { within } : {}) })
  // f32: tanh to 3e-7, two roundings (where it saturates, 1 − t² is lost in them, as in torch); bf16: the result once, 2⁻⁸
  const tolerance = { f32: 6e-7, bf16: 4e-3 }
  return [
    { name, op: softCapOp, attrs: { cap }, inputs: [part(scale)], tolerance, bench },
    { name, op: softCapBackwardOp, attrs: { cap }, inputs: [part(1), part(Math.min(scale, cap / 4))], tolerance, bench },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one value', { rows: 1, cols: 1, cap: 2 }),
  ...both('odd sizes', { rows: 5, cols: 83, cap: 1.5 }),
  ...both('far beyond the cap', { rows: 3, cols: 40, cap: 30, scale: 200 }),
  ...both('columns of a wider product', { rows: 4, cols: 21, cap: 5, scale: 4, within: { cols: 60, from: 11 } }),
  ...both('logits of Gemma 2, 128 positions', { rows: 128, cols: 256000, cap: 30, scale: 10, bench: true }),
]
