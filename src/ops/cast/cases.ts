/** Casts both ways, from f16 too, to the type that x has already, and of values that round to even, overflow or are subnormal. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { castOp } from './op.ts'

// to bf16 and back is exact but for the rounding of the result: 2⁻⁸; to f32 it is exact
const tolerance = { f32: 4e-3, bf16: 4e-3 }
const exact = { f32: 0, bf16: 0 }

const to = (name: string, dtype: DType, input: CaseInput, rest: Partial<OpCase> = {}): OpCase => {
  return { name, op: castOp, attrs: { dtype }, inputs: [input], tolerance: dtype === 'f32' ? exact : tolerance, ...rest }
}

/** halves of a bf16 step above even and odd values, and large ones */
const edges = [1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 255.5, 3e38, -2.5e-30, 0, 65504]

export const cases: readonly OpCase[] = [
  to('to f32', 'f32', { rows: 5, cols: 67, dtype: 'act' }),
  to('to bf16', 'bf16', { rows: 5, cols: 67, dtype: 'act' }),
  to('to bf16, columns of a wider product', 'bf16', { rows: 3, cols: 21, dtype: 'act', within: { cols: 40, from: 13 } }),
  to('f16 to f32', 'f32', { rows: 4, cols: 39, dtype: 'f16' }),
  to('f16 to bf16', 'bf16', { rows: 4, cols: 39, dtype: 'f16', scale: 1e-4 }),
  to('ties and extremes', 'bf16', { rows: 1, cols: edges.length, dtype: 'f32', values: edges }),
  to('f32 to bf16, 2,048 tokens', 'bf16', { rows: 2048, cols: 2048, dtype: 'f32' }, { bench: true }),
  to('bf16 to f32, 2,048 tokens', 'f32', { rows: 2048, cols: 2048, dtype: 'bf16' }, { bench: true }),
]
