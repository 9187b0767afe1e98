/** Cases of the likeliest token: one token, ties, rows that have none, a vocabulary that divides by nothing. */
import type { CaseInput, OpCase } from '../op.ts'
import { likeliestOp } from './op.ts'

const one = (name: string, logits: CaseInput, bench = false): OpCase => ({
  name,
  op: likeliestOp,
  attrs: {},
  inputs: [logits],
  // a comparison rounds nothing
  tolerance: { f32: 0, bf16: 0 },
  bench,
})
const rows = (...values: readonly number[][]): CaseInput => ({
  rows: values.length,
  cols: values[0]!.length,
  dtype: 'act',
  values: Float64Array.from(values.flat()),
})
const [no, most] = [Number.NaN, Number.POSITIVE_INFINITY]

export const cases: readonly OpCase[] = [
  one('one token', { rows: 1, cols: 1, dtype: 'act' }),
  one('odd sizes', { rows: 5, cols: 131, dtype: 'act' }),
  one('columns of something wider', { rows: 3, cols: 70, dtype: 'act', within: { cols: 77, from: 3 } }),
  one('ties: the first', rows([1, 3, 3, 2], [-1, -1, -1, -1], [-0, 0, -2, 0])),
  one('many ties', { rows: 4, cols: 5003, dtype: 'act', scale: 0 }),
  one('rows without one', rows([1, no, 3], [1, 2, most], [-most, -most, -most], [-most, -5, -most], [no, no, no])),
  one('the last of all', rows(Array.from({ length: 2049 }, (_, i) => i / 8))),
  one('Llama 3, 16 texts', { rows: 16, cols: 128256, dtype: 'act' }, true),
]
