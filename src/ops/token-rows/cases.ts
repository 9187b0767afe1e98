/** Tokens' own rows and columns: one, several in any order, some that no text has, columns of something wider, none to put there. */
import type { CaseInput, OpCase } from '../op.ts'
import { columnsOfTokensOp, tokenColumnsOp, tokenRowsGradOp, tokenRowsOp } from './op.ts'

interface Setup {
  /** T, or M */
  rows: number
  /** C, or V */
  cols: number
  tokens: readonly number[]
  within?: { cols: number; from: number }
  padding?: number
  bench?: boolean
}

// f32 rows rounded to bf16: 2⁻⁹; the others are copies
const rounded = { f32: 0, bf16: 4e-3 }
const copied = { f32: 0, bf16: 0 }

const list = (tokens: readonly number[]): CaseInput => ({ rows: 1, cols: tokens.length, dtype: 'f32', values: tokens, space: 'store' })
/** the first and the last of these tokens come again and again, others between them */
const idsOf = ({ rows, tokens }: Setup): CaseInput => {
  const some = [tokens[0]!, 1, tokens.at(-1)!, 2, tokens[0]!]
  return { rows, cols: 1, dtype: 'i32', values: Array.from({ length: rows }, (_, t) => some[t % some.length]!) }
}
const wide = ({ within }: Setup) => (within ? { within } : {})

const zeros = (name: string, { bench }: Setup, op: OpCase['op'], inputs: OpCase['inputs']): OpCase[] =>
  bench ? [] : [{ name: `${name}, zeros`, op, attrs: {}, inputs, tolerance: copied }]

function ofRows(name: string, s: Setup): OpCase[] {
  const x: CaseInput = { rows: s.rows, cols: s.cols, dtype: 'act', ...wide(s) }
  const rows: CaseInput = { rows: s.tokens.length, cols: s.cols, dtype: 'f32', space: 'store', trainable: true }
  const ids = idsOf(s)
  return [
    { name, op: tokenRowsOp, attrs: {}, inputs: [x, ids, list(s.tokens), rows], tolerance: rounded, bench: s.bench },
    ...zeros(name, s, tokenRowsOp, [x, ids, list(s.tokens), null]),
    // f32 sums: a rounding for each time a token comes
    {
      ...{
        name,
        op: tokenRowsGradOp,
        attrs: { padding: s.padding ?? -1 },
        inputs: [ids, list(s.tokens), x, { ...rows, trainable: false }],
      },
      ...{ tolerance: { f32: 5e-7, bf16: 5e-7 }, bench: s.bench },
    },
  ]
}

function ofColumns(name: string, s: Setup): OpCase[] {
  const y: CaseInput = { rows: s.rows, cols: s.cols, dtype: 'act', ...wide(s) }
  const z: CaseInput = { rows: s.rows, cols: s.tokens.length, dtype: 'act' }
  return [
    { name, op: tokenColumnsOp, attrs: {}, inputs: [y, list(s.tokens), z], tolerance: copied, bench: s.bench },
    ...zeros(name, s, tokenColumnsOp, [y, list(s.tokens), null]),
    { name, op: columnsOfTokensOp, attrs: {}, inputs: [y, list(s.tokens)], tolerance: copied, bench: s.bench },
  ]
}

const many = Array.from({ length: 300 }, (_, i) => (i * 37) % 311)

export const cases: readonly OpCase[] = [
  ...ofRows('one token', { rows: 1, cols: 5, tokens: [3] }),
  ...ofRows('in any order, some unread', { rows: 23, cols: 37, tokens: [9, 4, 70000, 5] }),
  ...ofRows('columns of a wider tensor', { rows: 8, cols: 16, tokens: [7, 6], within: { cols: 40, from: 11 } }),
  ...ofRows('many', { rows: 40, cols: 20, tokens: many }),
  ...ofRows('a token for padding', { rows: 15, cols: 9, tokens: [5, 8, 2], padding: 2 }).slice(-1),
  ...ofColumns('one token', { rows: 1, cols: 4, tokens: [3] }),
  ...ofColumns('in any order', { rows: 9, cols: 37, tokens: [36, 0, 5] }),
  ...ofColumns('columns of a wider tensor', { rows: 6, cols: 12, tokens: [11, 2], within: { cols: 29, from: 7 } }),
  ...ofColumns('many', { rows: 5, cols: 311, tokens: many }),
  ...ofRows('SmolLM2-135M, 2,048 tokens', { rows: 2048, cols: 576, tokens: [49151, 49150, 5, 1], bench: true }),
  ...ofColumns('SmolLM2-135M, 256 positions', { rows: 256, cols: 49152, tokens: [49151, 49150, 5, 1], bench: true }),
]
