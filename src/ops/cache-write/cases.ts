/** Cache writes: at the beginning, in the middle, up to the end. */
import type { OpCase } from '../op.ts'
import { cacheWriteOp } from './op.ts'

function write(name: string, tokens: number, cols: number, start: number, size: number, within?: { cols: number; from: number }): OpCase {
  return {
    name,
    op: cacheWriteOp,
    attrs: {},
    inputs: [
      { rows: tokens, cols, dtype: 'act', ...(within ? { within } : {}) },
      { rows: 1, cols: 1, dtype: 'i32', values: [start] },
      { rows: size, cols, dtype: 'act', space: 'store' },
    ],
    // a copy
    tolerance: { f32: 0, bf16: 0 },
  }
}

export const cases: readonly OpCase[] = [
  write('the first token', 1, 24, 0, 9),
  write('columns of a wider product, in the middle', 5, 40, 3, 20, { cols: 72, from: 24 }),
  write('up to the end', 7, 64, 10, 17),
]
