import { expect, test } from 'vitest'
import { bf16ToF32, f16Bits, f16Values, f32ToBf16 } from '../../src/formats/numbers.ts'

test('every f16 survives the way to f32 and back', () => {
  const values = f16Values()
  for (let bits = 0; bits < 65536; bits++) {
    const back = f16Bits(values[bits]!)
    if (Number.isNaN(values[bits]!)) expect(back & 0x7fff).toBeGreaterThan(0x7c00)
    else if (back !== bits) throw new Error(`${bits} came back as ${back}`)
  }
})

test('f16 rounds to nearest, ties to even', () => {
  expect(f16Bits(1 + 2 ** -11)).toBe(0x3c00)
  expect(f16Bits(1 + 3 * 2 ** -11)).toBe(0x3c02)
  expect(f16Bits(65519)).toBe(0x7bff)
  expect(f16Bits(65520)).toBe(0x7c00)
  expect(f16Bits(2 ** -25)).toBe(0)
  expect(f16Bits(2 ** -25 * 1.001)).toBe(1)
  expect(f16Bits(-(2 ** -24))).toBe(0x8001)
})

test('bf16 rounds to nearest, ties to even, and keeps NaN', () => {
  const bits = (x: number) => f32ToBf16(Float32Array.of(x))[0]
  expect(bits(1 + 2 ** -8)).toBe(0x3f80)
  expect(bits(1 + 3 * 2 ** -8)).toBe(0x3f82)
  expect(bits(3.4e38)).toBe(0x7f80)
  expect(bits(Number.NaN)).toBe(0x7fc0)
  expect(bits(-0)).toBe(0x8000)
  const all = Uint16Array.from({ length: 0x7f80 }, (_, i) => i)
  expect(f32ToBf16(bf16ToF32(all))).toEqual(all)
})
