/** Rows times weights: weights in f32 and in the activations' type, odd sizes, columns of wider tensors. */
import type { CaseInput, OpCase } from '../op.ts'
import { weighBackwardOp, weighOp } from './op.ts'

interface Setup {
  tokens: number
  k: number
  cols: number
  weights?: CaseInput['dtype']
  within?: { cols: number; from: number }
  bench?: boolean
}

function both(name: string, { tokens, k, cols, weights = 'act', within, bench }: Setup): OpCase[] {
  const M = tokens * k
  const rows: CaseInput = { rows: M, cols, dtype: 'act', ...(within ? { within } : {}) }
  // a step of 5, or of one that M doesn't divide by: every slot once
  const step = [5, 7, 11, 13].find((s) => M % s !== 0 || M === 1)!
  const order: CaseInput = { rows: M, cols: 1, dtype: 'i32', values: Array.from({ length: M }, (_, s) => (s * step) % M) }
  const w: CaseInput = { rows: tokens, cols: k, dtype: weights }
  return [
    // one product, rounded once: 2⁻²⁴, in bf16 2⁻⁹
    { name, op: weighOp, attrs: {}, inputs: [rows, w, order], tolerance: { f32: 1e-7, bf16: 4e-3 }, bench },
    // and sums over the columns, of terms of random sign
    { name, op: weighBackwardOp, attrs: {}, inputs: [rows, rows, w, order], tolerance: { f32: 1e-6, bf16: 4e-3 }, bench },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one value', { tokens: 1, k: 1, cols: 1 }),
  ...both('odd sizes', { tokens: 13, k: 3, cols: 83 }),
  ...both('weights in f32', { tokens: 9, k: 2, cols: 40, weights: 'f32' }),
  ...both('columns of a wider tensor', { tokens: 6, k: 2, cols: 21, within: { cols: 60, from: 11 } }),
  ...both('Qwen3-30B-A3B, 2,048 tokens', { tokens: 2048, k: 8, cols: 768, weights: 'f32', bench: true }),
]
