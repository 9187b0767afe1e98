/** Noise's cases: rows of several lengths, odd widths, columns of something wider, negative and large seeds. */
import { hash32 } from '../dropout/op.ts'
import type { OpCase } from '../op.ts'
import { noiseOp } from './op.ts'

function noisy(
  name: string,
  lengths: number[],
  cols: number,
  alpha: number,
  stepInts: number[],
  rest: Partial<OpCase> = {},
  within?: { cols: number; from: number },
): OpCase {
  const tokens = lengths.reduce((sum, n) => sum + n, 0)
  const each = (value: (row: number, depth: number, end: number) => number) => {
    let end = 0
    return lengths.flatMap((n, row) => {
      end += n
      return Array.from({ length: n }, (_, depth) => value(row, depth, end))
    })
  }
  const ints = (values: number[]) => ({ rows: tokens, cols: 1, dtype: 'i32' as const, values })
  return {
    name,
    op: noiseOp,
    attrs: { alpha, module: hash32('model.embed_tokens') },
    inputs: [
      { rows: tokens, cols, dtype: 'act', ...(within ? { within } : {}) },
      ints(each((row) => row + 40)),
      ints(each((_, depth) => depth)),
      ints(each((_, __, end) => end)),
      { rows: 1, cols: 4, dtype: 'i32', values: stepInts },
    ],
    // ε is exact; f32: its size, the product and the sum, one rounding each. bf16: y is rounded to 8 bits, 2⁻⁹ on average
    tolerance: { f32: 2e-7, bf16: 3e-3 },
    ...rest,
  }
}

export const cases: readonly OpCase[] = [
  noisy('one token', [1], 5, 5, [1, 0, 0, 0]),
  noisy('rows of several lengths', [3, 1, 12, 7], 67, 5, [3407, 12, 0, 0]),
  noisy('much of it', [12], 48, 100, [-5, 2147483647, 0, 0]),
  noisy('columns of something wider', [4, 5], 33, 15, [2147483647, 1, 0, 0], {}, { cols: 50, from: 10 }),
  noisy('SmolLM2-135M, 2,048 tokens', [1024, 1024], 576, 5, [3407, 1, 0, 0], { bench: true }),
]
