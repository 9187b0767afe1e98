/** Sums over tokens: few and many, wider than a panel, as columns of a wider product. */
import type { OpCase } from '../op.ts'
import { columnSumOp } from './op.ts'

function columns(name: string, rows: number, cols: number, rest: Partial<OpCase> = {}, within?: { cols: number; from: number }): OpCase {
  return {
    name,
    op: columnSumOp,
    attrs: {},
    inputs: [
      { rows, cols, dtype: 'act', ...(within ? { within } : {}) },
      { rows: 1, cols, dtype: 'f32', space: 'store' },
    ],
    // f32 sums, in a bf16 run too: 32 at a time, then up to 64 such sums, errors of random sign
    tolerance: { f32: 5e-7, bf16: 5e-7 },
    ...rest,
  }
}

export const cases: readonly OpCase[] = [
  columns('one value', 1, 1),
  columns('odd sizes', 67, 45),
  columns('several blocks', 130, 70),
  columns('columns of a wider product', 9, 20, {}, { cols: 64, from: 33 }),
  columns('Qwen2.5-0.5B queries, 2,048 tokens', 2048, 896, { bench: true }),
  columns('7B, 2,048 tokens', 2048, 3584, { bench: true }),
]
