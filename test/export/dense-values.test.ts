/** Values made on every core are those that formats/numbers.ts defines, whichever rows are asked for, into memory that is given or not. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { asBf16, valuesOf } from '../../src/devices/cpu/dense-values.ts'
import { denseTensor } from '../../src/formats/dense.ts'
import { asU16, bf16ToF32, bytesOf, f16ToF32, f32ToBf16, f32ToF16 } from '../../src/formats/numbers.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import type { CheckpointTensor } from '../../src/formats/tensor.ts'

const [ROWS, COLS] = [301, 257]
/** every kind of number: exponents of all sizes, zeros, infinities, no numbers */
const floats = (() => {
  let state = 1
  const bits = Uint32Array.from({ length: ROWS * COLS }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0))
  bits.set([0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 1])
  return new Float32Array(bits.buffer)
})()
const finite = floats.map((x) => (Number.isFinite(x) ? x : 1))
let tensors: ReadonlyMap<string, CheckpointTensor>

beforeAll(async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'saqr-dense-')), 'model.safetensors')
  const shape = [ROWS, COLS]
  await writeSafetensors(path, [
    { name: 'bf16', dtype: 'BF16', shape, data: bytesOf(f32ToBf16(finite)) },
    { name: 'f16', dtype: 'F16', shape, data: bytesOf(f32ToF16(finite)) },
    { name: 'f32', dtype: 'F32', shape, data: bytesOf(finite) },
  ])
  const { tensors: entries } = readSafetensors(path)
  tensors = new Map(
    [...entries].map(([name, { dtype, offset, bytes }]) => [name, denseTensor({ name, shape, storage: dtype, path, offset, bytes })]),
  )
})

const wanted = {
  bf16: () => bf16ToF32(f32ToBf16(finite)),
  f16: () => f16ToF32(f32ToF16(finite)),
  f32: () => finite,
}
const same = (a: ArrayBufferView, b: ArrayBufferView) => expect(Buffer.compare(bytesOf(a), bytesOf(b))).toBe(0)

it.each(['bf16', 'f16', 'f32'] as const)('values of %s', (name) => {
  const t = tensors.get(name)!
  const all = wanted[name]()
  same(valuesOf(t), all)
  const room = new Float32Array(200 * COLS).fill(7)
  for (const [from, count] of [
    [0, 200],
    [199, 102],
    [300, 1],
  ] as const) {
    // biome-ignore format: one list
    const got = valuesOf(t, from, count, room)
    same(got, all.subarray(from * COLS, (from + count) * COLS))
    expect(got.buffer).toBe(room.buffer)
  }
  same(valuesOf(t, 0, 201, room), all.subarray(0, 201 * COLS)) // which has no room for it
})

it('values that another function makes are asked of it, wherever their tensor came from', () => {
  const t = { ...tensors.get('bf16')!, load: () => bytesOf(new Float32Array(COLS).fill(3)) }
  same(valuesOf(t, 0, 1), new Float32Array(COLS).fill(3))
})

it('bf16 of any f32, ties to even and every NaN one', () => {
  const all = Float32Array.from([...floats, 1.00390625, 1.01171875])
  same(asBf16(all), f32ToBf16(all))
  const room = new Uint8Array(2 * all.length)
  expect(asBf16(all, room)).toBe(room)
  same(asU16(room), f32ToBf16(all))
})
