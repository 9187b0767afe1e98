/** Scaling: dense and as columns of a wider product. */
import type { OpCase } from '../op.ts'
import { scaleOp } from './op.ts'

function scaled(
  name: string,
  rows: number,
  cols: number,
  factor: number,
  rest: Partial<OpCase> = {},
  within?: { cols: number; from: number },
): OpCase {
  return {
    name,
    op: scaleOp,
    attrs: { factor },
    inputs: [{ rows, cols, dtype: 'act', ...(within ? { within } : {}) }],
    // the factor and the product are rounded once each: 2 · 2⁻²⁴; bf16: the result once, 2⁻⁸
    tolerance: { f32: 1.2e-7, bf16: 4e-3 },
    ...rest,
  }
}

export const cases: readonly OpCase[] = [
  scaled('one value', 1, 1, -3),
  scaled('odd sizes', 9, 77, 0.1),
  scaled('columns of a wider product', 6, 40, 2, {}, { cols: 96, from: 7 }),
  scaled('LoRA r 16, 2,048 tokens', 2048, 16, 2, { bench: true }),
  scaled('8B, 2,048 tokens', 2048, 4096, 0.25, { bench: true }),
]
