/** Gradients of column views: parts of a fused product, of one dtype and place with those of separate products, and no copy between. */
import { expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { decode } from '../../src/devices/reference/numbers.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { differentiate } from '../../src/graph/differentiate.ts'
import { lower } from '../../src/graph/lower.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { add } from '../../src/ops/add/op.ts'
import { product } from '../../src/ops/product/op.ts'
import { scale } from '../../src/ops/scale/op.ts'
import { swiglu } from '../../src/ops/swiglu/op.ts'
import type { Tensor } from '../../src/ops/tensor.ts'
import { normals } from '../ops/draw.ts'

const [T, C, F] = [5, 6, 4]
const f32 = (n: number, seed: string) => bytesOf(Float32Array.from(normals(n, seed)))

/** dx (T, C) and dw (2F, C) of Σ seed · y, where y (T, F) is made of the two halves of x · wᵀ */
async function gradients(make: (r: Recorder, gate: Tensor, up: Tensor, both: Tensor) => Tensor, fused: boolean) {
  const r = new Recorder()
  const input = (name: string, rows: number, cols: number, needsGrad = false) =>
    r.tensor(name, { rows, cols, dtype: 'f32' }, 'input', needsGrad)
  const x = input('x', T, C, true)
  const w = r.tensor('w', { rows: 2 * F, cols: C, dtype: 'f32' }, 'store', true)
  const dW = r.tensor('dW', { rows: 2 * F, cols: C, dtype: 'f32' }, 'store')
  r.setGradient(w, dW)
  const half = (i: number) => {
    const part = r.within(w, i * F * C, { rows: F, cols: C, dtype: 'f32' }, `w${i}`, true)
    r.setGradient(part, r.within(dW, i * F * C, { rows: F, cols: C, dtype: 'f32' }, `dW${i}`, false))
    return product(r, [{ x, w: part }])
  }
  const both = product(r, [{ x, w }])
  const [gate, up] = fused ? [r.columns(both, 0, F), r.columns(both, F, F)] : [half(0), half(1)]
  const y = make(r, gate, up, both)
  const forward = r.nodes.slice()
  const before = r.nodes.length
  const seed = input('seed', T, F)
  const [dX] = differentiate(r, forward, new Map([[y, seed]]), [x])
  const backward = r.nodes.slice(before).map((node) => node.op.name)
  const device = new ReferenceDevice()
  device.store('w', { rows: 2 * F, cols: C, dtype: 'f32', source: { kind: 'data', bytes: f32(2 * F * C, 'w') } })
  device.store('dW', { rows: 2 * F, cols: C, dtype: 'f32', source: { kind: 'zero' } })
  const plan = device.load(lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned: [x, seed, dX!] }))
  const [dx] = await device.run([{ plan, segment: 'all' }], { x: f32(T * C, 'x'), seed: f32(T * F, 'seed') }, { read: [dX!.name] })
  return { dx: [...decode(dx!, 'f32')], dw: [...device.values('dW')], backward }
}

function expectClose(a: number[], b: number[]): void {
  expect(a).toHaveLength(b.length)
  // results are written as f32; the two ways add in another order
  a.forEach((value, i) => {
    expect(Math.abs(value - b[i]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(b[i]!)))
  })
}

it('both halves: as separate products, with no copy', async () => {
  const make = (r: Recorder, gate: Tensor, up: Tensor) => swiglu(r, gate, up)
  const [fused, apart] = [await gradients(make, true), await gradients(make, false)]
  expectClose(fused.dx, apart.dx)
  expectClose(fused.dw, apart.dw)
  expect(fused.backward.sort()).toEqual(['product', 'swiglu_backward', 'weight_grad'])
})

it('a half that several ops read, and one that none does', async () => {
  const make = (r: Recorder, gate: Tensor) => add(r, scale(r, gate, 2), swiglu(r, gate, gate))
  const [fused, apart] = [await gradients(make, true), await gradients(make, false)]
  expectClose(fused.dx, apart.dx)
  expectClose(fused.dw, apart.dw)
})

it('a half that one op reads, and one that none does', async () => {
  const make = (r: Recorder, gate: Tensor) => scale(r, gate, 2)
  const [fused, apart] = [await gradients(make, true), await gradients(make, false)]
  expectClose(fused.dx, apart.dx)
  expectClose(fused.dw, apart.dw)
})

it('one gradient for both halves', async () => {
  const make = (r: Recorder, gate: Tensor, up: Tensor) => add(r, gate, up)
  const [fused, apart] = [await gradients(make, true), await gradients(make, false)]
  expectClose(fused.dx, apart.dx)
  expectClose(fused.dw, apart.dw)
})

it('views that overlap are refused', async () => {
  const make = (r: Recorder, gate: Tensor, _: Tensor, both: Tensor) => swiglu(r, gate, r.columns(both, 1, F))
  await expect(gradients(make, true)).rejects.toThrow(/overlap/)
})
