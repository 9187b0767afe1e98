/** RoPE's cases: tables near and far, both pairings, partial rotation, backward's sign. */
import type { OpCase } from '../op.ts'
import { ropeOp, ropeTableOp } from './op.ts'

const frequencies = (rotaryDim: number, theta: number) =>
  Array.from({ length: rotaryDim / 2 }, (_, i) => Math.fround(theta ** ((-2 * i) / rotaryDim)))

/** @param long marks of the tokens that turn by frequencies of their own */
function table(
  name: string,
  positions: readonly number[],
  rotaryDim: number,
  theta: number,
  attentionFactor: number,
  long?: number[],
): OpCase {
  return {
    name,
    op: ropeTableOp,
    attrs: { attentionFactor },
    inputs: [
      { rows: positions.length, cols: 1, dtype: 'i32', values: positions },
      { rows: 1, cols: rotaryDim / 2, dtype: 'f32', values: frequencies(rotaryDim, theta) },
      long ? { rows: long.length, cols: 1, dtype: 'i32', values: long } : null,
      long ? { rows: 1, cols: rotaryDim / 2, dtype: 'f32', values: frequencies(rotaryDim, 3 * theta) } : null,
    ],
    // the table is f32 in every run, its angles f64: one rounding (2⁻²⁵ on average)
    tolerance: { f32: 1e-7, bf16: 1e-7 },
  }
}

interface Rotation {
  tokens: number
  heads: number
  headDim: number
  rotaryDim: number
  from?: number
  interleaved?: boolean
  sign?: number
  within?: { cols: number; from: number }
  bench?: boolean
}
function rotation(name: string, r: Rotation): OpCase {
  const inv = frequencies(r.rotaryDim, 1e4)
  const angles = Array.from({ length: r.tokens }, (_, t) => inv.map((f) => t * f))
  return {
    name,
    op: ropeOp,
    attrs: { headDim: r.headDim, rotaryDim: r.rotaryDim, from: r.from ?? 0, interleaved: r.interleaved ?? false, sign: r.sign ?? 1 },
    inputs: [
      { rows: r.tokens, cols: r.heads * r.headDim, dtype: 'act', ...(r.within ? { within: r.within } : {}) },
      { rows: r.tokens, cols: r.rotaryDim, dtype: 'f32', values: angles.flatMap((row) => [...row.map(Math.cos), ...row.map(Math.sin)]) },
    ],
    // f32: three roundings and the table's. bf16: y is rounded to 8 bits, 2⁻⁹ on average
    tolerance: { f32: 3e-7, bf16: 3e-3 },
    bench: r.bench,
  }
}

export const cases: readonly OpCase[] = [
  table('near', [0, 1, 2, 3, 0, 1], 16, 1e4, 1),
  table('far, scaled', [8191, 131071, 0, 77777, 1], 128, 5e5, 1.25),
  table('two lists of frequencies', [5000, 5000, 1, 0, 77777, 1, 4096], 72, 1e4, 1.19, [0, 1, 1, 0, 1, 0, 0]),
  rotation('one token, one head', { tokens: 1, heads: 1, headDim: 16, rotaryDim: 16 }),
  rotation('whole heads', { tokens: 13, heads: 3, headDim: 64, rotaryDim: 64 }),
  rotation('backward', { tokens: 9, heads: 2, headDim: 40, rotaryDim: 40, sign: -1 }),
  rotation('part of a head', { tokens: 11, heads: 2, headDim: 80, rotaryDim: 20 }),
  rotation('interleaved', { tokens: 7, heads: 3, headDim: 64, rotaryDim: 64, interleaved: true }),
  rotation('interleaved, part of a head', { tokens: 5, heads: 2, headDim: 48, rotaryDim: 22, interleaved: true, sign: -1 }),
  rotation('last part of a head', { tokens: 6, heads: 3, headDim: 96, rotaryDim: 32, from: 64 }),
  rotation('middle of a head', { tokens: 6, heads: 2, headDim: 31, rotaryDim: 14, from: 9, sign: -1 }),
  rotation('interleaved, last part of a head', { tokens: 9, heads: 4, headDim: 192, rotaryDim: 64, from: 128, interleaved: true }),
  rotation('interleaved, odd middle of a head', { tokens: 4, heads: 3, headDim: 27, rotaryDim: 10, from: 13, interleaved: true, sign: -1 }),
  rotation('columns of a wider product', { tokens: 6, heads: 2, headDim: 32, rotaryDim: 32, within: { cols: 128, from: 64 } }),
  rotation('SmolLM2-135M queries', { tokens: 2048, heads: 9, headDim: 64, rotaryDim: 64, bench: true }),
]
