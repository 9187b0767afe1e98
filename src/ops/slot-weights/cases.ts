/** Weights in the order of sorted rows: in f32 and in the activations' type, odd sizes, columns of something wider, none. */
import type { CaseInput, OpCase } from '../op.ts'
import { slotWeightsBackwardOp, slotWeightsOp } from './op.ts'

interface Setup {
  tokens: number
  k: number
  weights?: CaseInput['dtype']
  within?: { cols: number; from: number }
}

/** of the column: each case runs in both */
const dtype = 'f32'
// copies; in bf16 rounded once: 2⁻⁹
const tolerance = { f32: 1e-7, bf16: 4e-3 }

function orderOf(tokens: number, k: number): CaseInput {
  const M = tokens * k
  // a step of 5, or of one that M doesn't divide by: every slot once
  const step = [5, 7, 11, 13].find((s) => M % s !== 0 || M === 1)!
  return { rows: M, cols: 1, dtype: 'i32', values: Array.from({ length: M }, (_, s) => (s * step) % M) }
}

function both(name: string, { tokens, k, weights = 'act', within }: Setup): OpCase[] {
  const order = orderOf(tokens, k)
  const w: CaseInput = { rows: tokens, cols: k, dtype: weights, ...(within ? { within } : {}) }
  const dY: CaseInput = { rows: tokens * k, cols: 8, dtype: 'act', ...(within ? { within: { cols: 21, from: 4 } } : {}) }
  return [
    { name, op: slotWeightsOp, attrs: { dtype }, inputs: [w, order], tolerance },
    { name: `${name}, in bf16`, op: slotWeightsOp, attrs: { dtype: 'bf16' }, inputs: [w, order], tolerance: { f32: 4e-3, bf16: 4e-3 } },
    { name, op: slotWeightsBackwardOp, attrs: {}, inputs: [dY, w, order], tolerance },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one value', { tokens: 1, k: 1 }),
  ...both('odd sizes', { tokens: 13, k: 3 }),
  ...both('weights in f32', { tokens: 9, k: 2, weights: 'f32' }),
  ...both('columns of something wider', { tokens: 6, k: 2, within: { cols: 9, from: 4 } }),
  { name: 'none', op: slotWeightsOp, attrs: { dtype }, inputs: [null, orderOf(7, 3)], tolerance },
]
