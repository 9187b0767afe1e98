/** Cache writes: at the beginning, in pages out of order, up to the end, and of tokens that go nowhere. */
import type { OpCase } from '../op.ts'
import { cacheWriteOp } from './op.ts'

function write(name: string, slots: readonly number[], cols: number, size: number, within?: { cols: number; from: number }): OpCase {
  return {
    name,
    op: cacheWriteOp,
    attrs: {},
    inputs: [
      { rows: slots.length, cols, dtype: 'act', ...(within ? { within } : {}) },
      { rows: slots.length, cols: 1, dtype: 'i32', values: slots },
      { rows: size, cols, dtype: 'act', space: 'store' },
    ],
    // a copy
    tolerance: { f32: 0, bf16: 0 },
  }
}

export const cases: readonly OpCase[] = [
  write('the first token', [0], 24, 9),
  write('columns of a wider product, in the middle', [3, 4, 5, 6, 7], 40, 20, { cols: 72, from: 24 }),
  write('up to the end', [10, 11, 12, 13, 14, 15, 16], 64, 17),
  write('in any order, some nowhere', [7, -1, 2, 0, -1, 9], 5, 10),
]
