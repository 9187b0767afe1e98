/**
 * Products whose columns several threads lay out together: more columns than are laid out at once, reductions in several blocks of which
 * several are laid out at once, sums that don't fit beside each other. One thread shares nothing, and its bits are theirs.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { bf16ToF32, f32ToBf16 } from '../../src/formats/numbers.ts'
import { groupedProductOp } from '../../src/ops/grouped-product/op.ts'
import type { CaseInput, DType, OpCase } from '../../src/ops/op.ts'
import { productOp } from '../../src/ops/product/op.ts'
import { type Activation, draw } from './draw.ts'
import { evaluate } from './harness.ts'

const COUNTS = [1, 2, 3, 5]
const devices = COUNTS.map((threads) => new CpuDevice({ threads }))
afterAll(() => {
  for (const device of devices) device.dispose()
})

interface Shape {
  M: number
  N: number
  K: readonly number[]
  weight: DType | 'act'
  trans: boolean
}

function product({ M, N, K, weight, trans }: Shape): OpCase {
  const parts = K.flatMap((k): CaseInput[] => [
    { rows: M, cols: k, dtype: 'act' },
    { rows: trans ? k : N, cols: trans ? N : k, dtype: weight, space: 'store', scale: k ** -0.5 },
  ])
  const attrs = { alpha: 1, trans }
  return { name: `${M} × ${N}`, op: productOp, attrs, inputs: [null, null, ...parts], tolerance: { f32: 1e-6, bf16: 4e-3 } }
}

/** experts' products follow each other in the same memory; one of them has no rows */
function experts(trans: boolean): OpCase {
  const rows = [90, 0, 35, 150]
  const offsets = [0, ...rows].map((_, e) => rows.slice(0, e).reduce((sum, n) => sum + n, 0))
  const [k, n, e] = [900, 330, rows.length]
  const inputs: CaseInput[] = [
    { rows: offsets.length, cols: 1, dtype: 'i32', values: offsets },
    { rows: offsets.at(-1)!, cols: k, dtype: 'act' },
    { rows: e * (trans ? k : n), cols: trans ? n : k, dtype: 'act', space: 'store', scale: k ** -0.5 },
  ]
  return { name: 'experts', op: groupedProductOp, attrs: { alpha: 1, trans }, inputs, tolerance: { f32: 1e-6, bf16: 4e-3 } }
}

/**
 * Of some elements of y = Σ_p x_p · w_pᵀ, the largest distance from their sums in f64 over what rounding allows: 1e-6 of the length of a row of x times
 * one of w (some thousand sums in f32, 2⁻²⁴ of their size each, their signs by chance), and of a result in bf16, which has 8 bits, 2⁻⁸ of itself.
 * NF4 is multiplied as values rounded to the dtype of x, so the sums are of those.
 */
function farthest(activation: Activation, drawn: ReturnType<typeof draw>, y: Float64Array, { N, K, weight, trans }: Shape): number {
  const M = y.length / N
  const weights = K.map((_, p) => {
    const { data } = drawn[3 + 2 * p]!.matrix
    return weight === 'nf4' && activation === 'bf16' ? bf16ToF32(f32ToBf16(Float32Array.from(data))) : data
  })
  let most = 0
  for (let i = 0; i < 200; i++) {
    const [m, n] = [(i * 7919) % M, (i * 104729) % N]
    let [sum, squaresX, squaresW] = [0, 0, 0]
    K.forEach((k, p) => {
      const [x, w] = [drawn[2 + 2 * p]!.matrix.data, weights[p]!]
      for (let j = 0; j < k; j++) {
        const [a, b] = [x[m * k + j]!, trans ? w[j * N + n]! : w[n * k + j]!]
        sum += a * b
        squaresX += a * a
        squaresW += b * b
      }
    })
    const allowed = 1e-6 * Math.sqrt(squaresX * squaresW) + (activation === 'bf16' ? 2 ** -8 * Math.abs(sum) : 0)
    most = Math.max(most, Math.abs(y[m * N + n]! - sum) / allowed)
  }
  return most
}

const shapes: readonly [string, Shape][] = [
  ['more columns than at once, in two blocks', { M: 1900, N: 2100, K: [840], weight: 'act', trans: false }],
  ['the same down the rows', { M: 1900, N: 2100, K: [840], weight: 'act', trans: true }],
  ['several blocks at once, in two parts', { M: 230, N: 130, K: [9000, 3500], weight: 'act', trans: true }],
  ['several blocks at once, along the rows', { M: 230, N: 130, K: [9000, 3500], weight: 'act', trans: false }],
  ['sums that do not fit beside each other', { M: 2300, N: 1100, K: [850], weight: 'act', trans: true }],
  // three pieces of columns, of which two laid out at once wouldn't fit
  ['more columns than twice as many as at once', { M: 3500, N: 4210, K: [1660], weight: 'act', trans: false }],
  ['blocks that together are more than what is shared', { M: 900, N: 1000, K: [9000], weight: 'act', trans: false }],
  ['NF4', { M: 300, N: 1030, K: [960], weight: 'nf4', trans: false }],
  ['NF4 down the rows', { M: 300, N: 1024, K: [960], weight: 'nf4', trans: true }],
]

describe.each(['f32', 'bf16'] as const)('%s', (activation) => {
  const same = async (c: OpCase) => {
    const drawn = draw(c, activation)
    const [one, ...others] = await Promise.all(devices.map((device) => evaluate(device, c, drawn)))
    for (const [i, [y]] of others.entries()) expect(Buffer.compare(y!.bytes, one![0]!.bytes), `${COUNTS[i + 1]} threads`).toBe(0)
    return { drawn, y: one![0]!.values }
  }
  it.each(shapes)('%s', async (_, shape) => {
    const c = product(shape)
    const { drawn, y } = await same(c)
    const distance = farthest(activation, drawn, y, shape)
    expect(distance).toBeGreaterThan(0)
    expect(distance).toBeLessThanOrEqual(1)
  })
  it.each([false, true])('experts, transposed: %s', async (trans) => {
    await same(experts(trans))
  })
})
