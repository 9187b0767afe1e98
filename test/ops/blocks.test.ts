/**
 * Weights in GGUF's blocks: what reads them has, bit for bit, what it has of the values that `formats/gguf/dequantise.ts` defines: on processors that
 * multiply bf16 rounded to the dtype of what they are multiplied with, on others as they are. Products of few rows add exact values block by block (on
 * arm64 with bf16 rounded ones): they are held to the sum in f64. Any number of rows, of threads; along the rows and down them; every type.
 */
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { inJavaScript } from '../../src/formats/gguf/dequantise.ts'
import { ggmlType } from '../../src/formats/gguf/types.ts'
import { bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { lower } from '../../src/graph/lower.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { embed } from '../../src/ops/embed/op.ts'
import { groupedProduct } from '../../src/ops/grouped-product/op.ts'
import { product } from '../../src/ops/product/op.ts'
import { BLOCKS, type Blocks, type DType, type Tensor } from '../../src/ops/tensor.ts'
import { variantIn } from './devices.ts'

const [N, K] = [37, 768]
/** where the f16 of a block stand: they have to be numbers */
const HALVES: Record<Blocks, number[]> = {
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q8_0: [0],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
}

let state = 7
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8

function drawn(name: Blocks): { type: ReturnType<typeof ggmlType>; bytes: Uint8Array } {
  const type = ggmlType(name.toUpperCase())
  const bytes = Uint8Array.from({ length: ((N * K) / type.block) * type.bytes }, random)
  for (let at = 0; at < bytes.length; at += type.bytes)
    for (const half of HALVES[name]) new DataView(bytes.buffer).setUint16(at + half, (random() & 0x83ff) | 0x1000, true)
  return { type, bytes }
}

const devices = [1, 2, 3].map((threads) => new CpuDevice({ threads }))
afterAll(() => {
  for (const device of devices) device.dispose()
})

async function run(
  device: CpuDevice,
  dtype: DType,
  weight: Uint8Array,
  make: (r: Recorder, w: Tensor) => Tensor,
  inputs: Record<string, Uint8Array>,
) {
  const r = new Recorder()
  const w = r.tensor('w', { rows: N, cols: K, dtype }, 'store', false)
  device.store('w', { rows: N, cols: K, dtype, source: { kind: 'data', bytes: weight } })
  try {
    const y = make(r, w)
    const given = r.nodes.flatMap((node) => node.inputs).filter((t) => t?.space === 'input') as Tensor[]
    const plan = lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned: [...given, y] })
    const loaded = device.load(plan)
    const [out] = await device.run([{ plan: loaded, segment: 'all' }], inputs, { read: [y.name] })
    loaded.dispose()
    return Buffer.from(out!).toString('hex')
  } finally {
    device.drop('w')
  }
}

const ACTIVATIONS = ['bf16', 'f32'] as const
const variant = variantIn(devices[0]!.describe().label)
const rounds = /bf16|amx/.test(variant)
/** are a block's own values multiplied where rows are few? */
const exact = !rounds || variant.startsWith('x86-64-')

it('a text goes on over blocks of what was timed', () => {
  expect(devices[0]!.describe().blocks).toEqual(variant.startsWith('x86-64-') ? BLOCKS : [])
})

const floats = (hex: string, dtype: 'bf16' | 'f32') => {
  const { buffer, byteOffset, byteLength } = Buffer.from(hex, 'hex')
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength)
  return dtype === 'f32' ? new Float32Array(bytes) : widened(new Uint16Array(bytes))
}
const widened = (x: Uint16Array) => new Float32Array(Uint32Array.from(x, (bits) => bits << 16).buffer)

it.each(BLOCKS)('products and embeddings of %s', async (name) => {
  const { type, bytes } = drawn(name)
  const values = new Float32Array(inJavaScript(bytes, type, 'f32').slice().buffer)
  for (const act of ACTIVATIONS) {
    const dense = inJavaScript(bytes, type, act)
    const same = async (expected: string, make: (r: Recorder, w: Tensor) => Tensor, inputs: Record<string, Uint8Array>, what: string) => {
      expect(expected).toMatch(/[1-9a-f]/)
      for (const device of devices) expect(await run(device, name, bytes, make, inputs), `${what}, ${act}`).toBe(expected)
    }
    let first: string | undefined
    const one = Float32Array.from({ length: K }, () => random() / 2 ** 23 - 1)
    for (const rows of [1, 2, 3, 4, 5, 6, 7, 8, 9, 40])
      for (const trans of [false, true]) {
        const cols = trans ? N : K
        const given = Float32Array.from({ length: rows * cols }, () => random() / 2 ** 23 - 1)
        if (!trans) given.set(one)
        const halves = f32ToBf16(given)
        const x = bytesOf(act === 'f32' ? given : halves)
        const what = `${rows} rows${trans ? ', transposed' : ''}`
        const productIn = (dtype: 'bf16' | 'f32') => (r: Recorder, w: Tensor) =>
          product(r, [{ x: r.tensor('x', { rows, cols, dtype }, 'input', false), w }], { trans })
        if (exact && !trans && rows <= 8) {
          const found = await run(devices[0]!, name, bytes, productIn(act), { x })
          await same(found, productIn(act), { x }, what)
          near(floats(found, act), act === 'f32' ? given : widened(halves), values, rows, act)
          // whoever stands beside a row
          const row = found.slice(0, N * (act === 'f32' ? 8 : 4))
          expect(row, what).toBe((first ??= row))
        } else if (act === 'bf16' && !rounds) {
          const sums = await run(devices[0]!, 'f32', bytesOf(values), productIn('f32'), { x: bytesOf(widened(halves)) })
          await same(Buffer.from(bytesOf(f32ToBf16(floats(sums, 'f32')))).toString('hex'), productIn(act), { x }, what)
        } else await same(await run(devices[0]!, act, dense, productIn(act), { x }), productIn(act), { x }, what)
      }
    const ids = bytesOf(Int32Array.from({ length: 11 }, () => random() % N))
    const embedded = (r: Recorder, w: Tensor) =>
      embed(r, r.tensor('ids', { rows: 11, cols: 1, dtype: 'i32' }, 'input', false), w, { dtype: act })
    await same(await run(devices[0]!, act, dense, embedded, { ids }), embedded, { ids }, 'embedding')
  }
})

it.each(BLOCKS)('%s beside another part, as low rank is', async (name) => {
  const { type, bytes } = drawn(name)
  const values = new Float32Array(inJavaScript(bytes, type, 'f32').slice().buffer)
  const RANK = 7
  const ups = Float32Array.from({ length: N * RANK }, () => random() / 2 ** 23 - 1)
  for (let rows = 1; rows <= 8; rows++) {
    const x = Float32Array.from({ length: rows * K }, () => random() / 2 ** 23 - 1)
    const u = Float32Array.from({ length: rows * RANK }, () => random() / 2 ** 23 - 1)
    const both = (r: Recorder, w: Tensor) => {
      const given = (is: string, rows: number, cols: number) => r.tensor(is, { rows, cols, dtype: 'f32' }, 'input', false)
      return product(r, [
        { x: given('x', rows, K), w },
        { x: given('u', rows, RANK), w: given('ups', N, RANK) },
      ])
    }
    const inputs = { x: bytesOf(x), u: bytesOf(u), ups: bytesOf(ups) }
    const found = await Promise.all(devices.map((device) => run(device, name, bytes, both, inputs)))
    expect(new Set(found).size).toBe(1)
    const low = (m: number, n: number) => {
      let sum = 0
      for (let i = 0; i < RANK; i++) sum += u[m * RANK + i]! * ups[n * RANK + i]!
      return sum
    }
    near(floats(found[0]!, 'f32'), x, values, rows, 'f32', low)
  }
})

it.each(BLOCKS)('%s of experts is refused by name', async (name) => {
  const experts = (r: Recorder, w: Tensor) => {
    const offsets = r.tensor('offsets', { rows: 2, cols: 1, dtype: 'i32' }, 'input', false)
    return groupedProduct(r, offsets, [{ x: r.tensor('x', { rows: 3, cols: K, dtype: 'f32' }, 'input', false), w }])
  }
  const inputs = { offsets: bytesOf(Int32Array.of(0, 3)), x: bytesOf(new Float32Array(3 * K)) }
  await expect(run(devices[0]!, name, drawn(name).bytes, experts, inputs)).rejects.toThrow("takes no weight in GGUF's blocks")
})

/**
 * Of f32 sums: a value of a block goes through the additions of its block (at most 8, and 2 for what x is turned to; with words of 32 bits 4, 2, and 1
 * of the word itself), at most two a block that follows, and those of the lanes (4). What is added is at most a code of 31 (its byte's upper one still
 * beside it, 15 + 16; in a word of four 16, and 1 in the code below; of six bits 63 and 1) times the scale and the shift of x: 2 · 31 / 8 of the largest
 * value a block can have, where codes are taken around 8 (2 · 64 / 32 around 32); of Q8_0 the value itself.
 * @param beside what is added, seven products of numbers up to 1, each rounded and added: 14 roundings of at most 7
 */
function near(
  found: Float32Array,
  x: Float32Array,
  w: Float32Array,
  rows: number,
  act: 'bf16' | 'f32',
  beside: (m: number, n: number) => number = () => 0,
): void {
  const roundings = (2 * K) / 32 + 14
  for (let m = 0; m < rows; m++)
    for (let n = 0; n < N; n++) {
      let [sum, size] = [beside(m, n), beside(m, n) === 0 ? 0 : 7]
      for (let b = 0; b < K; b += 32) {
        let [most, sizes] = [0, 0]
        for (let k = b; k < b + 32; k++) {
          sum += x[m * K + k]! * w[n * K + k]!
          most = Math.max(most, Math.abs(w[n * K + k]!))
          sizes += Math.abs(x[m * K + k]!)
        }
        size += 8 * most * sizes
      }
      const off = Math.abs(found[m * N + n]! - sum)
      expect(off).toBeLessThanOrEqual(roundings * 2 ** -24 * size + (act === 'bf16' ? 2 ** -8 * Math.abs(sum) : 0))
    }
}
