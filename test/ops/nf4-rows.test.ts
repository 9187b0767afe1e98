/**
 * Products of few rows over NF4 have the bits that they have over the values it stands for, made bf16 or f32 first: a run that keeps copies of its
 * weights changes nothing. Any number of rows, scales as they are and in 8 bits, one of them infinite.
 */
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { StoreSpec } from '../../src/devices/device.ts'
import { readSource } from '../../src/devices/reference/sources.ts'
import { bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { lower } from '../../src/graph/lower.ts'
import { Recorder } from '../../src/graph/recorder.ts'
import { product } from '../../src/ops/product/op.ts'
import { quantised } from './draw.ts'

const device = new CpuDevice({ threads: 2 })
afterAll(() => device.dispose())

async function multiply(act: 'f32' | 'bf16', spec: StoreSpec, x: Uint8Array, rows: number): Promise<string> {
  const r = new Recorder()
  const w = r.tensor('w', { rows: spec.rows, cols: spec.cols, dtype: spec.dtype }, 'store', false)
  device.store('w', spec)
  try {
    const given = r.tensor('x', { rows, cols: spec.cols, dtype: act }, 'input', false)
    const y = product(r, [{ x: given, w }])
    const loaded = device.load(lower([{ name: 'all', nodes: r.nodes }], { tokens: 1, pinned: [given, y] }))
    const [out] = await device.run([{ plan: loaded, segment: 'all' }], { x }, { read: [y.name] })
    loaded.dispose()
    return Buffer.from(out!).toString('hex')
  } finally {
    device.drop('w')
  }
}

it.each([
  [37, 768],
  [8, 64],
  [5, 100], // rows that are no whole blocks
])('%i × %i', async (N, K) => {
  const values = Float64Array.from({ length: N * K }, (_, i) => Math.sin(i * i + 1) * (1 + (i % 7)))
  for (const nested of [false, true]) {
    const { bytes, quant } = quantised(values, nested)
    const spec = { rows: N, cols: K, dtype: 'nf4', source: { kind: 'data', bytes }, quant } as const
    const dense = Float32Array.from(readSource(spec))
    for (const act of ['f32', 'bf16'] as const)
      for (const rows of [1, 2, 3, 4, 5, 8]) {
        const given = Float32Array.from({ length: rows * K }, (_, i) => Math.cos(i * 3 + 1))
        const [x, weight] = act === 'f32' ? [given, dense] : [f32ToBf16(given), f32ToBf16(dense)]
        const expected = await multiply(
          act,
          { rows: N, cols: K, dtype: act, source: { kind: 'data', bytes: bytesOf(weight) } },
          bytesOf(x),
          rows,
        )
        expect(await multiply(act, spec, bytesOf(x), rows), `${rows} rows in ${act}${nested ? ', nested' : ''}`).toBe(expected)
      }
  }
})

it('a scale that is no number is none of its products either', async () => {
  const { bytes, quant } = quantised(new Float64Array(4 * 64).fill(0.5), false)
  const absmax = Float32Array.of(1, Number.NaN, 1, Number.POSITIVE_INFINITY)
  const spec = {
    rows: 4,
    cols: 64,
    dtype: 'nf4',
    source: { kind: 'data', bytes },
    quant: { ...quant, absmax: { kind: 'data', bytes: bytesOf(absmax) } },
  } as const
  const found = await multiply('f32', spec, bytesOf(new Float32Array(64).fill(1)), 1)
  const y = new Float32Array(new Uint8Array(Buffer.from(found, 'hex')).buffer)
  expect([...y].map((v) => (Number.isNaN(v) ? 'NaN' : Number.isFinite(v) ? 'number' : 'infinite'))).toEqual([
    'number',
    'NaN',
    'number',
    'infinite',
  ])
})
