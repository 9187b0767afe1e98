/**
 * Weights in GGUF's blocks: what reads them has, bit for bit, what it has of the values that `formats/gguf/dequantise.ts` defines, rounded to the
 * dtype of what they are multiplied with. Any number of rows, of threads; along the rows and down them; every type.
 */
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { inJavaScript } from '../../src/formats/gguf/dequantise.ts'
import { ggmlType } from '../../src/formats/gguf/types.ts'
import { bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { lower } from '../../src/graph/lower.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { embed } from '../../src/ops/embed/op.ts'
import { product } from '../../src/ops/product/op.ts'
import { BLOCKS, type Blocks, type DType, type Tensor } from '../../src/ops/tensor.ts'

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

it.each(BLOCKS)('products and embeddings of %s', async (name) => {
  const { type, bytes } = drawn(name)
  for (const act of ACTIVATIONS) {
    const dense = inJavaScript(bytes, type, act)
    const both = async (make: (r: Recorder, w: Tensor) => Tensor, inputs: Record<string, Uint8Array>, what: string) => {
      const expected = await run(devices[0]!, act, dense, make, inputs)
      expect(expected).toMatch(/[1-9a-f]/)
      for (const device of devices) expect(await run(device, name, bytes, make, inputs), `${what}, ${act}`).toBe(expected)
    }
    for (const rows of [1, 2, 5, 8, 9, 40])
      for (const trans of [false, true]) {
        const cols = trans ? N : K
        const values = Float32Array.from({ length: rows * cols }, () => random() / 2 ** 23 - 1)
        const x = bytesOf(act === 'f32' ? values : f32ToBf16(values))
        await both(
          (r, w) => product(r, [{ x: r.tensor('x', { rows, cols, dtype: act }, 'input', false), w }], { trans }),
          { x },
          `${rows} rows${trans ? ', transposed' : ''}`,
        )
      }
    const ids = Int32Array.from({ length: 11 }, () => random() % N)
    await both(
      (r, w) => embed(r, r.tensor('ids', { rows: 11, cols: 1, dtype: 'i32' }, 'input', false), w, { dtype: act }),
      { ids: bytesOf(ids) },
      'embedding',
    )
  }
})
