/** RMSNorm's cases: whole rows and heads, both forms of the weight in every type it comes in, with and without a residual. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { addRmsNormOp, rmsNormBackwardOp, rmsNormOp, rmsNormWeightGradOp } from './op.ts'

interface Setup {
  rows: number
  cols: number
  group?: number
  plusOne?: boolean
  weight?: DType
  eps?: number
  scale?: number
  within?: { cols: number; from: number }
  bench?: boolean
}

// f32: a sum of up to 4,096 squares in 64 chains and a tree (a few 2⁻²⁴), a root, a quotient, three products. The gradient subtracts
// a mean that is small beside g. bf16: h and y are rounded to 8 bits, 2⁻⁸ at most, less than half of that on average
const tolerance = { f32: 5e-7, bf16: 4e-3 }

function parts(s: Setup) {
  const group = s.group ?? s.cols
  const act = (scale = 1): CaseInput => ({ rows: s.rows, cols: s.cols, dtype: 'act', scale })
  return {
    attrs: { eps: s.eps ?? 1e-5, plusOne: s.plusOne ?? false, group },
    act,
    x: { ...act(s.scale ?? 1), ...(s.within ? { within: s.within } : {}) },
    w: { rows: 1, cols: group, dtype: s.weight ?? 'f32', space: 'store', trainable: (s.weight ?? 'f32') === 'f32' } satisfies CaseInput,
    // any positive numbers serve as rstd: the backward takes it as given
    rstd: {
      rows: s.rows,
      cols: s.cols / group,
      dtype: 'f32',
      values: Array.from({ length: (s.rows * s.cols) / group }, (_, i) => 0.5 + (i % 7) / 5),
    } satisfies CaseInput,
    dW: { rows: 1, cols: group, dtype: 'f32', space: 'store' } satisfies CaseInput,
  }
}

function all(name: string, s: Setup): OpCase[] {
  const { attrs, act, x, w, rstd, dW } = parts(s)
  const rest = { attrs, tolerance, bench: s.bench }
  return [
    { name, op: rmsNormOp, inputs: [x, w], ...rest },
    { name, op: addRmsNormOp, inputs: [x, act(s.scale), w], ...rest },
    { name, op: rmsNormBackwardOp, inputs: [act(), x, w, rstd, null], ...rest },
    { name: `${name}, residual`, op: rmsNormBackwardOp, inputs: [act(), x, w, rstd, act()], ...rest },
    // dW is f32 in a bf16 run too, summed from values that bf16 holds: 32 at a time, then up to 64 such sums
    { name, op: rmsNormWeightGradOp, inputs: [act(), x, rstd, dW], ...rest, tolerance: { f32: 5e-7, bf16: 5e-7 } },
  ]
}

export const cases: readonly OpCase[] = [
  ...all('one channel', { rows: 1, cols: 1 }),
  ...all('odd sizes', { rows: 7, cols: 117 }),
  ...all('1 + w in bf16', { rows: 3, cols: 64, plusOne: true, weight: 'bf16' }),
  ...all('heads, w in f16', { rows: 5, cols: 6 * 40, group: 40, weight: 'f16', eps: 1e-6 }),
  ...all('heads, 1 + w', { rows: 70, cols: 3 * 16, group: 16, plusOne: true }),
  ...all('columns of a wider product', { rows: 4, cols: 96, group: 32, within: { cols: 160, from: 37 } }),
  ...all('heads of 128', { rows: 9, cols: 5 * 128, group: 128, weight: 'bf16' }),
  ...all('heads of 192', { rows: 5, cols: 3 * 192, group: 192, weight: 'bf16' }),
  ...all('a latent of 512', { rows: 11, cols: 512, weight: 'bf16' }),
  ...all('rows of several vectors a thread', { rows: 3, cols: 2568, weight: 'bf16' }),
  ...all('rows of more', { rows: 2, cols: 4104 }),
  ...all('rows of more than a thread holds', { rows: 2, cols: 8200, weight: 'f16' }),
  // mean(x²) is far below eps
  ...all('almost zero', { rows: 2, cols: 80, scale: 1e-6 }),
  ...all('SmolLM2-135M, 2,048 tokens', { rows: 2048, cols: 576, weight: 'bf16', bench: true }),
  ...all('8B, 2,048 tokens', { rows: 2048, cols: 4096, weight: 'bf16', bench: true }),
  ...all('Qwen3 heads, 2,048 tokens', { rows: 2048, cols: 16 * 128, group: 128, weight: 'bf16', bench: true }),
]
