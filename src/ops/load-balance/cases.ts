/** Loads and the loss over them: one micro-batch and several, padding, rows that share tokens, an idle expert, a micro-batch without tokens. */
import type { CaseInput, OpCase } from '../op.ts'
import { balanceLossBackwardOp, balanceLossOp, expertLoadBackwardOp, expertLoadOp } from './op.ts'

interface Setup {
  tokens: number
  experts: number
  k: number
  batches: number
  within?: { cols: number; from: number }
  bench?: boolean
}

/** the first fifth is shared by all, the last is padding */
function rowsOf({ tokens, batches }: Setup): CaseInput {
  const values = Array.from({ length: tokens * batches }, (_, i) => {
    const [t, g] = [Math.floor(i / batches), i % batches]
    if (tokens > 1 && t >= tokens * 0.8) return 0
    if (t < tokens * 0.2) return 1 + (g % 3)
    return t % batches === g ? 1 : 0
  })
  return { rows: tokens, cols: batches, dtype: 'f32', values }
}

// softmax to 2e-7 and sums of positive terms; a gradient is a difference of such, in bf16 rounded once, 2⁻⁸
const tolerance = { f32: 2e-6, bf16: 4e-3 }

function load(name: string, s: Setup): OpCase[] {
  const { tokens, experts, k, batches, within, bench } = s
  const logits: CaseInput = { rows: tokens, cols: experts, dtype: 'act', ...(within ? { within } : {}) }
  const chosen = Array.from({ length: tokens * k }, (_, i) => (Math.floor(i / k) * 3 + (i % k)) % experts)
  const indices: CaseInput = { rows: tokens, cols: k, dtype: 'i32', values: chosen }
  const dLoad: CaseInput = { rows: 2 * batches, cols: experts, dtype: 'f32' }
  return [
    { name, op: expertLoadOp, attrs: {}, inputs: [logits, indices, rowsOf(s)], tolerance, bench },
    { name, op: expertLoadBackwardOp, attrs: {}, inputs: [dLoad, logits, rowsOf(s)], tolerance, bench },
  ]
}

/** loads as counts and probabilities of `tokens`; micro-batch `empty` has none */
function loads(layers: number, { batches, experts, k, tokens }: Setup, empty = -1): CaseInput[] {
  return Array.from({ length: layers }, (_, l) => {
    const values = Array.from({ length: 2 * batches * experts }, (_, i) => {
      const [row, e] = [Math.floor(i / experts), i % experts]
      if (row % batches === empty || e === 1) return 0
      const share = 1 + ((e * 5 + l * 3 + row) % 7)
      return row < batches ? share * k : (share * tokens) / 40
    })
    return { rows: 2 * batches, cols: experts, dtype: 'f32', values }
  })
}

function loss(name: string, layers: number, s: Setup, empty?: number): OpCase[] {
  const inputs = loads(layers, s, empty)
  return [
    { name, op: balanceLossOp, attrs: { k: s.k }, inputs, tolerance, bench: s.bench },
    {
      name,
      op: balanceLossBackwardOp,
      attrs: { k: s.k },
      inputs: [{ rows: 1, cols: s.batches, dtype: 'f32' }, ...inputs],
      tolerance,
      bench: s.bench,
    },
  ]
}

export const cases: readonly OpCase[] = [
  ...load('one token', { tokens: 1, experts: 5, k: 1, batches: 1 }),
  ...load('odd sizes', { tokens: 71, experts: 13, k: 3, batches: 1 }),
  ...load('several micro-batches', { tokens: 100, experts: 8, k: 2, batches: 4 }),
  ...load('columns of a wider tensor', { tokens: 12, experts: 10, k: 2, batches: 2, within: { cols: 30, from: 9 } }),
  ...loss('one layer', 1, { tokens: 20, experts: 4, k: 1, batches: 1 }),
  ...loss('several', 5, { tokens: 40, experts: 11, k: 3, batches: 3 }),
  ...loss('a micro-batch without tokens', 2, { tokens: 40, experts: 6, k: 2, batches: 3 }, 1),
  ...load('Qwen3-30B-A3B, 2,048 tokens', { tokens: 2048, experts: 128, k: 8, batches: 2, bench: true }),
]
