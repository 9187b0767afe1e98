/** Sums: dense and as columns of a wider product. */
import type { OpCase } from '../op.ts'
import { addOp } from './op.ts'

function sum(name: string, rows: number, cols: number, rest: Partial<OpCase> = {}, within?: { cols: number; from: number }): OpCase {
  return {
    name,
    op: addOp,
    attrs: {},
    inputs: [
      { rows, cols, dtype: 'act', ...(within ? { within } : {}) },
      { rows, cols, dtype: 'act' },
    ],
    // one rounding: 2⁻²⁴ in f32, 2⁻⁸ in bf16
    tolerance: { f32: 6e-8, bf16: 4e-3 },
    ...rest,
  }
}

export const cases: readonly OpCase[] = [
  sum('one value', 1, 1),
  sum('odd sizes', 7, 131),
  sum('columns of a wider product', 5, 33, {}, { cols: 70, from: 21 }),
  sum('SmolLM2-135M, 2,048 tokens', 2048, 576, { bench: true }),
  sum('8B, 2,048 tokens', 2048, 4096, { bench: true }),
]
