/** Sorting, spreading, adding up: one token, an expert for nobody, one for everybody, columns of wider tensors. */
import type { CaseInput, OpCase } from '../op.ts'
import { combineOp, dispatchOp, spreadOp } from './op.ts'

interface Setup {
  tokens: number
  k: number
  experts: number
  cols: number
  /** expert of slot j of token t; default: all about evenly */
  expert?: (t: number, j: number) => number
  within?: { cols: number; from: number }
  bench?: boolean
}

const index = (rows: number, cols: number, values: readonly number[]): CaseInput => ({ rows, cols, dtype: 'i32', values })

function all(name: string, s: Setup): OpCase[] {
  const { tokens: T, k, experts, cols, within, bench } = s
  const expert = s.expert ?? ((t, j) => (t * 7 + j * (1 + (t % Math.max(1, experts - 1)))) % experts)
  const chosen = Array.from({ length: T * k }, (_, i) => expert(Math.floor(i / k), i % k))
  const order = [...chosen.keys()].sort((a, b) => chosen[a]! - chosen[b]! || a - b)
  const places = new Array<number>(T * k)
  for (const [row, slot] of order.entries()) places[slot] = row
  const rows = (n: number): CaseInput => ({ rows: n, cols, dtype: 'act', ...(within ? { within } : {}) })
  const where = [index(T * k, 1, order), index(T, k, places)]
  return [
    { name, op: dispatchOp, attrs: { experts }, inputs: [index(T, k, chosen)], tolerance: { f32: 0, bf16: 0 }, bench },
    { name, op: spreadOp, attrs: {}, inputs: [rows(T), ...where], tolerance: { f32: 0, bf16: 0 }, bench },
    // f32: k roundings, of random sign; bf16: the sum is rounded once, 2⁻⁸
    { name, op: combineOp, attrs: {}, inputs: [rows(T * k), ...where], tolerance: { f32: 3e-7, bf16: 4e-3 }, bench },
  ]
}

export const cases: readonly OpCase[] = [
  ...all('one token', { tokens: 1, k: 1, experts: 1, cols: 3 }),
  ...all('odd sizes', { tokens: 29, k: 3, experts: 7, cols: 45 }),
  ...all('more experts than tokens', { tokens: 5, k: 2, experts: 64, cols: 16 }),
  ...all('all to one, others idle', { tokens: 37, k: 2, experts: 9, cols: 20, expert: (_, j) => (j ? 3 : 7) }),
  ...all('every expert', { tokens: 6, k: 4, experts: 4, cols: 8, expert: (t, j) => (t + j) % 4 }),
  ...all('columns of a wider tensor', { tokens: 8, k: 2, experts: 3, cols: 10, within: { cols: 25, from: 11 } }),
  ...all('Qwen3-30B-A3B, 2,048 tokens', {
    tokens: 2048,
    k: 8,
    experts: 128,
    cols: 2048,
    expert: (t, j) => (t * 5 + j * 16) % 128,
    bench: true,
  }),
]
