/** Dropped low-rank products: ranks of every kernel and between them, tokens and channels that no tile divides, columns of wider tensors. */
import { hash32 } from '../dropout/op.ts'
import type { CaseInput, Op, OpCase } from '../op.ts'
import { dropoutInputGradOp, dropoutProductOp, dropoutWeightGradOp } from './op.ts'

interface Shape {
  tokens: number
  cols: number
  rank: number
  p?: number
  alpha?: number
  /** x, or what is added, as columns of a wider tensor */
  within?: { cols: number; from: number }
  bench?: boolean
}

const act = (rows: number, cols: number): CaseInput => ({ rows, cols, dtype: 'act' })
const trained = (rows: number, cols: number, trainable: boolean): CaseInput => ({ rows, cols, dtype: 'f32', space: 'store', trainable })
const ints = (tokens: number, value: (t: number) => number): CaseInput => {
  return { rows: tokens, cols: 1, dtype: 'i32', values: Array.from({ length: tokens }, (_, t) => value(t)) }
}

function given(op: Op, name: string, { tokens, p = 0.05, alpha = 1, bench }: Shape, inputs: (CaseInput | null)[], bf16: number): OpCase {
  const where = [ints(tokens, (t) => Math.floor(t / 5) + 40), ints(tokens, (t) => t % 5)]
  const stepInts: CaseInput = { rows: 1, cols: 4, dtype: 'i32', values: [3407, 12, 0, 0] }
  return {
    name,
    op,
    attrs: { p, module: hash32('model.layers.3.self_attn.q_proj'), alpha },
    inputs: [...inputs, ...where, stepInts],
    // sums in f32: about √n · 2⁻²⁵ of what is summed, in blocks less
    tolerance: { f32: 2e-6, bf16 },
    ...(bench ? { bench } : {}),
  }
}

/** the three of one shape */
function all(name: string, shape: Shape): OpCase[] {
  const { tokens, cols, rank, within } = shape
  const x = { ...act(tokens, cols), ...(within ? { within } : {}) }
  // bf16: w, and what a device drops before it multiplies, are rounded to 8 bits (2⁻⁹), and so is the result: √3 · 2⁻⁹ at most
  const rounded = 4e-3
  return [
    given(dropoutProductOp, name, shape, [x, trained(rank, cols, true)], rounded),
    given(dropoutInputGradOp, name, shape, [null, act(tokens, rank), trained(rank, cols, false)], rounded),
    given(dropoutInputGradOp, `${name}, added`, shape, [x, act(tokens, rank), trained(rank, cols, false)], rounded),
    given(dropoutWeightGradOp, name, shape, [act(tokens, rank), x, trained(rank, cols, false)], rounded),
  ]
}

export const cases: readonly OpCase[] = [
  ...all('one value', { tokens: 1, cols: 1, rank: 1 }),
  ...all('odd sizes', { tokens: 23, cols: 37, rank: 5, p: 0.5 }),
  ...all('a rank of 8', { tokens: 33, cols: 40, rank: 8, p: 0.25 }),
  ...all('a rank of 16, tokens over two tiles', { tokens: 41, cols: 296, rank: 16, alpha: 2 }),
  ...all('a rank of 24, columns of a wider tensor', { tokens: 18, cols: 64, rank: 24, p: 0.1, within: { cols: 104, from: 24 } }),
  ...all('a rank of 8, columns that begin where no vector does', { tokens: 19, cols: 64, rank: 8, p: 0.1, within: { cols: 104, from: 4 } }),
  ...all('a rank of 64', { tokens: 300, cols: 72, rank: 64, p: 0.9, alpha: -0.5 }),
  ...all('a rank of 80', { tokens: 20, cols: 48, rank: 80 }),
  ...all('Llama-3.1-8B, 4,096 tokens', { tokens: 4096, cols: 4096, rank: 16, bench: true }),
  ...all('Llama-3.1-8B down_proj, 4,096 tokens', { tokens: 4096, cols: 14336, rank: 16, bench: true }),
]
