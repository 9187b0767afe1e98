/** Products by expert: even, uneven, idle experts, one that has all; parts, both ways, every type of weight. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { groupedProductOp, groupedWeightGradOp } from './op.ts'

interface PartSetup {
  k: number
  weight?: 'act' | DType
  /** trained: f32 with a gradient */
  trained?: boolean
  /** x is columns of a wider tensor */
  within?: { cols: number; from: number }
}
interface Setup {
  /** rows of each expert */
  rows: readonly number[]
  n: number
  parts: readonly PartSetup[]
  trans?: boolean
  alpha?: number
  bench?: boolean
}

// as `product`
const tolerance = { f32: 1e-6, bf16: 4e-3 }

const total = (rows: readonly number[]) => rows.reduce((sum, n) => sum + n, 0)

function offsets(rows: readonly number[]): CaseInput {
  const values = [0]
  for (const n of rows) values.push(values.at(-1)! + n)
  return { rows: rows.length + 1, cols: 1, dtype: 'i32', values }
}

function product(name: string, { rows, n, parts, trans = false, alpha = 1, bench }: Setup): OpCase {
  const inputs: CaseInput[] = [offsets(rows)]
  for (const p of parts) {
    inputs.push({ rows: total(rows), cols: p.k, dtype: 'act', ...(p.within ? { within: p.within } : {}) })
    const shape = trans ? { rows: rows.length * p.k, cols: n } : { rows: rows.length * n, cols: p.k }
    inputs.push({ ...shape, dtype: p.trained ? 'f32' : (p.weight ?? 'act'), space: 'store', trainable: p.trained, scale: p.k ** -0.5 })
  }
  return { name, op: groupedProductOp, attrs: { alpha, trans }, inputs, tolerance, bench }
}

function gradient(name: string, rows: readonly number[], n: number, k: number, rest: Partial<OpCase> = {}): OpCase {
  const act = (cols: number): CaseInput => ({ rows: total(rows), cols, dtype: 'act' })
  const dW: CaseInput = { rows: rows.length * n, cols: k, dtype: 'f32', space: 'store' }
  // as `weight_grad`
  return {
    name,
    op: groupedWeightGradOp,
    attrs: { alpha: 1 },
    inputs: [offsets(rows), act(n), act(k), dW],
    tolerance: { f32: 1e-6, bf16: 1e-6 },
    ...rest,
  }
}

/** x·Wᵀ and the low-rank part beside it */
const lora = (k: number, r: number, weight: 'act' | DType = 'act'): PartSetup[] => [
  { k, weight },
  { k: r, trained: true },
]

/** rows of 8 of Qwen3-30B-A3B's 128 experts where 2,048 tokens go to 8 each: the busiest has ten times the rows of the idlest */
const REAL = Array.from({ length: 8 }, (_, e) => 128 + Math.round(104 * Math.cos((e * Math.PI) / 7)))

/** around what a tile of tokens is, and where one becomes two */
const EDGES = [0, 1, 63, 64, 65, 200, 257, 0]

export const cases: readonly OpCase[] = [
  product('one value', { rows: [1], n: 1, parts: [{ k: 1 }] }),
  product('odd sizes', { rows: [3, 0, 11, 1], n: 37, parts: [{ k: 53 }] }),
  product('all rows one expert’s', { rows: [0, 0, 41, 0], n: 20, parts: [{ k: 24 }] }),
  product('the first and the last idle', { rows: [0, 9, 14, 0], n: 33, parts: [{ k: 18 }], alpha: 0.5 }),
  product('no rows but one', { rows: [0, 0, 0, 1, 0], n: 70, parts: [{ k: 130 }] }),
  product('more rows than a tile', { rows: [131, 5, 64], n: 45, parts: [{ k: 29 }] }),
  product('trained', { rows: [6, 2, 0, 9], n: 16, parts: [{ k: 12, trained: true }] }),
  product('LoRA', { rows: [17, 3, 0, 21], n: 48, parts: lora(64, 5) }),
  product('LoRA on NF4', { rows: [5, 0, 19], n: 32, parts: lora(64, 4, 'nf4') }),
  product('NF4, blocks across rows', { rows: [6, 3, 1, 8, 2], n: 8, parts: [{ k: 72, weight: 'nf4' }] }),
  product('NF4, scales of several 256 blocks', { rows: [2, 1, 0, 3, 2, 4], n: 96, parts: [{ k: 96, weight: 'nf4' }] }),
  product('bf16 weight', { rows: [4, 3], n: 31, parts: [{ k: 45, weight: 'bf16' }] }),
  product('f16 weight', { rows: [4, 3], n: 31, parts: [{ k: 45, weight: 'f16' }] }),
  product('transposed', { rows: [7, 0, 13], n: 61, parts: [{ k: 39 }], trans: true }),
  product('transposed, trained', { rows: [5, 4, 0], n: 14, parts: [{ k: 9, trained: true }], trans: true }),
  product('transposed NF4 and LoRA', {
    rows: [14, 1, 0, 9],
    n: 64,
    parts: [
      { k: 30, weight: 'nf4' },
      { k: 6, weight: 'f32' },
    ],
    trans: true,
  }),
  product('transposed, a bias as a part of one channel', {
    rows: [6, 0, 15],
    n: 46,
    parts: [{ k: 35 }, { k: 4, weight: 'f32' }, { k: 1 }],
    trans: true,
  }),
  product('columns of a wider tensor', { rows: [5, 3], n: 16, parts: [{ k: 24, within: { cols: 90, from: 31 } }] }),
  product('tiles: LoRA', { rows: [140, 0, 257, 3], n: 136, parts: lora(128, 16) }),
  product('tiles: transposed', { rows: [129, 130, 0], n: 128, parts: [{ k: 136 }, { k: 8, weight: 'f32' }], trans: true }),
  product('tiles: LoRA on NF4', { rows: [140, 0, 257, 3], n: 200, parts: lora(192, 16, 'nf4') }),
  product('tiles: NF4, full and nearly', { rows: [64, 65, 1, 127, 128, 129], n: 96, parts: [{ k: 64, weight: 'nf4' }] }),
  product('tiles: transposed NF4 and LoRA', {
    rows: [70, 130, 0],
    n: 256,
    parts: [
      { k: 40, weight: 'nf4' },
      { k: 8, weight: 'f32' },
    ],
    trans: true,
  }),
  product('tiles: transposed NF4', { rows: [9, 66], n: 64, parts: [{ k: 136, weight: 'nf4' }], trans: true }),
  product('tiles: transposed, wide', { rows: [66, 0, 150], n: 264, parts: [{ k: 72 }, { k: 8 }], trans: true, alpha: -2 }),
  product('tiles: channels to a rank', { rows: [129, 0, 66], n: 16, parts: [{ k: 136, trained: true }] }),
  product('tiles: more of them than blocks', { rows: Array.from({ length: 150 }, (_, e) => (e * 7) % 4), n: 264, parts: [{ k: 40 }] }),
  product('tiles: transposed, a bias', {
    rows: [129, 3, 130],
    n: 128,
    parts: [{ k: 136 }, { k: 1, within: { cols: 8, from: 0 } }],
    trans: true,
  }),
  product('tiles: more of them than blocks, NF4 behind bf16', {
    rows: Array.from({ length: 150 }, (_, e) => (e * 7) % 4),
    n: 264,
    parts: [{ k: 8 }, { k: 64, weight: 'nf4' }],
  }),
  product('tiles: a long part in bf16 beside NF4', { rows: [70, 3], n: 72, parts: [{ k: 264 }, { k: 128, weight: 'nf4' }] }),
  product('tiles: around their edges', { rows: EDGES, n: 136, parts: [{ k: 72 }] }),
  product('tiles: around their edges, transposed', { rows: EDGES, n: 136, parts: [{ k: 72 }, { k: 24 }], trans: true }),
  product('tiles: around their edges, NF4 and LoRA', { rows: EDGES, n: 136, parts: lora(192, 24, 'nf4') }),
  product('tiles: around their edges, transposed NF4 and LoRA', {
    rows: EDGES,
    n: 192,
    parts: [{ k: 136, weight: 'nf4' }, { k: 72 }, { k: 40, weight: 'nf4' }, { k: 8 }],
    trans: true,
    alpha: 0.5,
  }),
  product('tiles: more steps than any ring has stages, NF4', { rows: [320, 1, 70], n: 72, parts: [{ k: 704, weight: 'nf4' }] }),
  product('tiles: more steps than any ring has stages, transposed NF4', {
    rows: [70, 320, 0],
    n: 64,
    parts: [{ k: 680, weight: 'nf4' }, { k: 8 }],
    trans: true,
  }),
  product('tiles: several of an expert, NF4', { rows: [600, 3, 321, 513], n: 64, parts: [{ k: 128, weight: 'nf4' }] }),
  gradient('one value', [1], 1, 1),
  gradient('odd sizes', [13, 0, 5, 1], 37, 29),
  gradient('all rows one expert’s', [0, 40, 0], 16, 24),
  gradient('rank by channels', [130, 7, 0, 20], 5, 72),
  gradient('channels by rank', [67, 0, 30], 80, 3),
  gradient('biases', [5, 0, 130, 9], 1, 72),
  gradient('scaled', [8, 12], 16, 24, { attrs: { alpha: -0.5 } }),
  gradient('tiles: around their edges', [...EDGES, 15, 16, 17], 136, 264),
  gradient('tiles: channels by a rank', EDGES, 200, 16),
  gradient('tiles: a rank by channels', EDGES, 16, 104, { attrs: { alpha: -0.5 } }),
  product('8 experts of Qwen3-30B-A3B, gate and up', { rows: REAL, n: 1536, parts: [{ k: 2048 }], bench: true }),
  product('8 experts of Qwen3-30B-A3B, down, NF4 and LoRA', { rows: REAL, n: 2048, parts: lora(768, 16, 'nf4'), bench: true }),
  product('8 experts of Qwen3-30B-A3B, gate and up, input gradient', {
    rows: REAL,
    n: 2048,
    parts: [{ k: 1536 }],
    trans: true,
    bench: true,
  }),
  gradient('8 experts of Qwen3-30B-A3B, gate and up', REAL, 1536, 2048, { bench: true }),
]
