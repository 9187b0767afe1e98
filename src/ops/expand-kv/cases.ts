import type { CaseInput, OpCase } from '../op.ts'
import { expandKvBackwardOp, expandKvOp } from './op.ts'

interface Setup {
  tokens: number
  heads: number
  own: number
  shared: number
  valueDim: number
  /** inputs are columns of wider products */
  within?: boolean
  bench?: boolean
}

function both(name: string, { tokens, heads, own, shared, valueDim, within, bench }: Setup): OpCase[] {
  const input = (cols: number): CaseInput => ({
    rows: tokens,
    cols,
    dtype: 'act',
    ...(within ? { within: { cols: cols + 24, from: 8 } } : {}),
  })
  const attrs = { own, valueDim }
  return [
    {
      name,
      op: expandKvOp,
      attrs,
      inputs: [input(heads * (own + valueDim)), input(shared)],
      // numbers are only moved
      tolerance: { f32: 0, bf16: 0 },
      bench,
    },
    {
      name: `${name}, backward`,
      op: expandKvBackwardOp,
      attrs,
      inputs: [input(heads * (own + shared)), input(heads * valueDim)],
      // a sum over heads in f32, of 1 in 3 numbers or fewer; in bf16 rounded to 8 bits, 2⁻⁹ on average
      tolerance: { f32: 3e-7, bf16: 3e-3 },
      bench,
    },
  ]
}

export const cases: readonly OpCase[] = [
  ...both('one token, one head', { tokens: 1, heads: 1, own: 3, shared: 2, valueDim: 5 }),
  ...both('odd sizes', { tokens: 7, heads: 3, own: 13, shared: 6, valueDim: 9 }),
  ...both('columns of a wider product', { tokens: 5, heads: 4, own: 16, shared: 8, valueDim: 24, within: true }),
  ...both('many heads', { tokens: 3, heads: 67, own: 8, shared: 16, valueDim: 8 }),
  ...both('Moonlight-16B-A3B', { tokens: 1024, heads: 16, own: 128, shared: 64, valueDim: 128, bench: true }),
]
