/** Dropout's cases: the usual share and extreme ones, odd widths, negative and large seeds; rows sorted by expert. */
import type { OpCase } from '../op.ts'
import { dropoutOp, hash32, slotDropoutOp } from './op.ts'

function drop(
  name: string,
  tokens: number,
  cols: number,
  p: number,
  stepInts: number[],
  rest: Partial<OpCase> = {},
  within?: { cols: number; from: number },
): OpCase {
  const ints = (value: (t: number) => number) => ({
    rows: tokens,
    cols: 1,
    dtype: 'i32' as const,
    values: Array.from({ length: tokens }, (_, t) => value(t)),
  })
  return {
    name,
    op: dropoutOp,
    attrs: { p, module: hash32('model.layers.3.self_attn.q_proj') },
    inputs: [
      { rows: tokens, cols, dtype: 'act', ...(within ? { within } : {}) },
      ints((t) => Math.floor(t / 5) + 40),
      ints((t) => t % 5),
      { rows: 1, cols: 4, dtype: 'i32', values: stepInts },
    ],
    // the mask is exact; f32: 1 / (1 − p) and the product, one rounding each. bf16: y is rounded to 8 bits, 2⁻⁹ on average
    tolerance: { f32: 2e-7, bf16: 3e-3 },
    ...rest,
  }
}

function slots(name: string, { inputs: [x, row, depth, stepInts], ...given }: OpCase, k: number, experts: number): OpCase {
  const tokens = row!.rows
  const index = (rows: number, cols: number, values: readonly number[]) => ({ rows, cols, dtype: 'i32' as const, values })
  // those of a token are different
  const chosen = Array.from({ length: tokens * k }, (_, i) => (Math.floor(i / k) * 3 + (i % k)) % experts)
  const order = [...chosen.keys()].sort((a, b) => chosen[a]! - chosen[b]! || a - b)
  const sorted = [{ ...x!, rows: tokens * k }, index(tokens * k, 1, order), index(tokens, k, chosen)]
  return { ...given, name, op: slotDropoutOp, inputs: [...sorted, row!, depth!, stepInts!] }
}

export const cases: readonly OpCase[] = [
  drop('one token', 1, 5, 0.5, [1, 0, 0, 0]),
  drop('a twentieth', 23, 67, 0.05, [3407, 12, 0, 0]),
  drop('most', 12, 48, 0.9, [-5, 2147483647, 0, 0]),
  drop('columns of a wider product', 9, 33, 0.1, [2147483647, 1, 0, 0], {}, { cols: 50, from: 10 }),
  drop('SmolLM2-135M, 2,048 tokens', 2048, 576, 0.05, [3407, 1, 0, 0], { bench: true }),
  slots('sorted rows, a token', drop('', 1, 5, 0.5, [1, 0, 0, 0]), 1, 1),
  slots('sorted rows', drop('', 23, 67, 0.25, [3407, 12, 0, 0]), 3, 7),
  slots('sorted rows, most dropped, idle experts', drop('', 5, 48, 0.9, [-5, 2147483647, 0, 0]), 2, 64),
  slots('sorted rows, columns of a wider tensor', drop('', 9, 33, 0.1, [2147483647, 1, 0, 0], {}, { cols: 50, from: 10 }), 2, 4),
  slots('gpt-oss-20B, 512 tokens', drop('', 512, 2880, 0.05, [3407, 1, 0, 0], { bench: true }), 4, 32),
]
