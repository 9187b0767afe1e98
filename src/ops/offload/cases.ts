/** Copies to host memory and back: one value, odd sizes, a block's input. */
import type { OpCase } from '../op.ts'
import { fromHostOp, toHostOp } from './op.ts'

const SIZES = [
  { name: 'one value', rows: 1, cols: 1 },
  { name: 'odd sizes', rows: 7, cols: 131 },
  { name: '8B, 2,048 tokens', rows: 2048, cols: 4096, bench: true },
]

export const cases: readonly OpCase[] = [toHostOp, fromHostOp].flatMap((op) =>
  SIZES.map(
    ({ name, rows, cols, bench }): OpCase => ({
      name,
      op,
      attrs: {},
      inputs: [{ rows, cols, dtype: 'act' }],
      // the same bits
      tolerance: { f32: 0, bf16: 0 },
      bench,
    }),
  ),
)
