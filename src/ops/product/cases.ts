/** The product's cases: one part and several, every type of weight, both layouts, bias and addend, sizes that no tile divides. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { productOp } from './op.ts'

interface PartSetup {
  k: number
  weight?: 'act' | DType
  /** trained: f32 with a gradient */
  trained?: boolean
  /** x is columns of a wider tensor */
  within?: { cols: number; from: number }
}
interface Setup {
  m: number
  n: number
  parts: readonly PartSetup[]
  trans?: boolean
  alpha?: number
  bias?: 'act' | DType
  addend?: boolean
  bench?: boolean
}

// f32: sums of K products with errors of random sign, about √K · 2⁻²⁵ of what is summed, in blocks less. bf16: y is rounded to 8 bits,
// 2⁻⁸ at most, less than half of that on average, and so are the elements of a trained f32 weight
const tolerance = { f32: 1e-6, bf16: 4e-3 }

function product(name: string, s: Setup): OpCase {
  const inputs: (CaseInput | null)[] = [
    s.addend ? { rows: s.m, cols: s.n, dtype: 'act' } : null,
    s.bias ? { rows: 1, cols: s.n, dtype: s.bias, space: 'store', trainable: s.bias === 'f32' && !s.trans } : null,
  ]
  for (const p of s.parts) {
    inputs.push({ rows: s.m, cols: p.k, dtype: 'act', ...(p.within ? { within: p.within } : {}) })
    const shape = s.trans ? { rows: p.k, cols: s.n } : { rows: s.n, cols: p.k }
    inputs.push({ ...shape, dtype: p.trained ? 'f32' : (p.weight ?? 'act'), space: 'store', trainable: p.trained, scale: p.k ** -0.5 })
  }
  return { name, op: productOp, attrs: { alpha: s.alpha ?? 1, trans: s.trans ?? false }, inputs, tolerance, bench: s.bench }
}

/** x·Wᵀ and the low-rank part beside it */
const lora = (k: number, r: number, weight: 'act' | DType = 'act'): PartSetup[] => [
  { k, weight },
  { k: r, trained: true },
]

const small: readonly OpCase[] = [
  product('one value', { m: 1, n: 1, parts: [{ k: 1 }] }),
  product('one token', { m: 1, n: 70, parts: [{ k: 130 }] }),
  product('odd sizes', { m: 19, n: 37, parts: [{ k: 53 }] }),
  product('more rows than a tile', { m: 131, n: 45, parts: [{ k: 29 }] }),
  product('wide and deep', { m: 9, n: 530, parts: [{ k: 600 }] }),
  product('scaled', { m: 12, n: 8, parts: [{ k: 40 }], alpha: 0.25 }),
  product('bias and addend', { m: 11, n: 23, parts: [{ k: 34 }], bias: 'f32', addend: true }),
  product('bias in bf16', { m: 5, n: 40, parts: [{ k: 17 }], bias: 'bf16' }),
  product('bias in f16', { m: 5, n: 40, parts: [{ k: 17 }], bias: 'f16' }),
  product('LoRA', { m: 21, n: 48, parts: lora(64, 5) }),
  product('LoRA on NF4', { m: 17, n: 33, parts: lora(64, 4, 'nf4'), addend: true }),
  product('NF4, blocks across rows', { m: 6, n: 22, parts: [{ k: 72, weight: 'nf4' }] }),
  product('as long a sum as a head has in its gradient', { m: 24, n: 20, parts: [{ k: 49152 }], trans: true }),
  product('as long a sum, few rows', { m: 3, n: 20, parts: [{ k: 49152 }], trans: true }),
  product('as long a sum, rows of the weight', { m: 3, n: 9, parts: [{ k: 49152 }] }),
  product('f16 weight', { m: 7, n: 31, parts: [{ k: 45, weight: 'f16' }] }),
  product('bf16 weight', { m: 7, n: 31, parts: [{ k: 45, weight: 'bf16' }] }),
  product('three parts of one x', { m: 10, n: 35, parts: [{ k: 20 }, { k: 7 }, { k: 33 }], trans: true }),
  product('transposed', { m: 13, n: 61, parts: [{ k: 39 }], trans: true }),
  product('transposed NF4 and LoRA', {
    m: 14,
    n: 64,
    parts: [
      { k: 30, weight: 'nf4' },
      { k: 6, weight: 'f32' },
    ],
    trans: true,
    addend: true,
  }),
  product('columns of a wider tensor', { m: 8, n: 16, parts: [{ k: 24, within: { cols: 90, from: 31 } }] }),
]

/** what large.cuh takes: several parts, more than 128 rows, rows that begin at multiples of 16 bytes */
const tiled: readonly OpCase[] = [
  product('tiles: LoRA, bias and addend', { m: 300, n: 264, parts: lora(136, 16), bias: 'f32', addend: true }),
  product('tiles: rank 24, scaled, bias in f16', { m: 140, n: 400, parts: lora(72, 24), bias: 'f16', alpha: 0.5 }),
  product('tiles: one part, columns of a wider tensor', {
    m: 257,
    n: 136,
    parts: [{ k: 64, within: { cols: 208, from: 72 } }],
    bias: 'bf16',
  }),
  product('tiles: LoRA on NF4', { m: 150, n: 128, parts: lora(192, 8, 'nf4'), addend: true }),
  product('tiles: rank 5, which no tile can be copied of', { m: 150, n: 72, parts: lora(64, 5) }),
  product('tiles: transposed, parts of several x', {
    m: 280,
    n: 328,
    parts: [{ k: 104 }, { k: 40, within: { cols: 56, from: 8 } }, { k: 8, weight: 'f32' }, { k: 16, weight: 'f32' }],
    trans: true,
    addend: true,
  }),
  // more of them than blocks, so that a block writes one after another
  product('tiles: of three panels, transposed', { m: 130, n: 16912, parts: [{ k: 24 }, { k: 8 }], trans: true }),
  product('tiles: as many parts as one kernel takes', { m: 129, n: 64, parts: [8, 16, 24, 32, 40, 48, 56, 64].map((k) => ({ k })) }),
]

/** what few.cuh takes: up to 16 rows, rows of a weight that begin at multiples of 16 bytes */
const few: readonly OpCase[] = [
  product('few rows: NF4', { m: 1, n: 96, parts: [{ k: 128, weight: 'nf4' }] }),
  product('few rows: NF4 and LoRA, bias and addend', { m: 16, n: 530, parts: lora(1120, 8, 'nf4'), bias: 'f32', addend: true }),
  product('few rows: a reduction that ends within a chunk', { m: 11, n: 45, parts: [{ k: 1376, weight: 'nf4' }], alpha: 0.5 }),
  product('few rows: wide, NF4', { m: 5, n: 2064, parts: lora(576, 16, 'nf4'), addend: true }),
  product('few rows: wider, NF4', { m: 16, n: 8200, parts: lora(192, 16, 'nf4'), bias: 'bf16' }),
  product('few rows: LoRA', { m: 9, n: 2056, parts: lora(352, 16), bias: 'f16' }),
  product('few rows: wider, LoRA', { m: 16, n: 8196, parts: lora(352, 24) }),
  product('few rows: trained, few columns', { m: 16, n: 16, parts: [{ k: 1208, trained: true }] }),
  product('few rows: f16, columns of a wider tensor', { m: 7, n: 40, parts: [{ k: 96, weight: 'f16', within: { cols: 160, from: 8 } }] }),
  product('few rows: several parts', { m: 13, n: 33, parts: [{ k: 64, weight: 'nf4' }, { k: 32 }, { k: 96, weight: 'nf4' }, { k: 16, weight: 'f32' }] }), // biome-ignore format: a case
]

const T = 2048
const real: readonly OpCase[] = [
  product('SmolLM2-135M q_proj', { m: T, n: 576, parts: lora(576, 16), bench: true }),
  product('SmolLM2-135M gate_proj', { m: T, n: 1536, parts: lora(576, 16), bench: true }),
  product('SmolLM2-135M down_proj', { m: T, n: 576, parts: lora(1536, 16), addend: true, bench: true }),
  product('SmolLM2-135M gate_proj, NF4', { m: T, n: 1536, parts: lora(576, 16, 'nf4'), bench: true }),
  product('SmolLM2-135M lora_A', { m: T, n: 16, parts: [{ k: 576, trained: true }], bench: true }),
  product('SmolLM2-135M gate and up, input gradient', {
    m: T,
    n: 576,
    parts: [{ k: 1536 }, { k: 1536 }, { k: 16, weight: 'f32' }, { k: 16, weight: 'f32' }],
    trans: true,
    bench: true,
  }),
  product('SmolLM2-135M head, 256 positions', { m: 256, n: 49152, parts: [{ k: 576 }], bench: true }),
  product('SmolLM2-135M head, input gradient', { m: 256, n: 576, parts: [{ k: 49152 }], trans: true, bench: true }),
]

export const cases: readonly OpCase[] = [...small, ...tiled, ...few, ...real]
