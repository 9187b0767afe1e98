/** A tensor in pieces reads as the whole would, whatever rows are asked for. */
import { expect, it } from 'vitest'
import { joinTensors } from '../../src/formats/joined.ts'
import { asF32, asU16, bf16ToF32, bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import type { CheckpointTensor } from '../../src/formats/tensor.ts'

const COLS = 5

function piece(name: string, first: number, rows: number): CheckpointTensor {
  const values = Float32Array.from({ length: rows * COLS }, (_, i) => first * COLS + i)
  return {
    name,
    shape: [rows, COLS],
    rows,
    cols: COLS,
    dtype: 'f32',
    storage: 'F32',
    bytes: values.byteLength,
    load(dtype, from = 0, count = rows - from) {
      const part = values.slice(from * COLS, (from + count) * COLS)
      return bytesOf(dtype === 'f32' ? part : f32ToBf16(part))
    },
  }
}

it('as rows of one matrix', () => {
  const sizes = [3, 1, 4, 2]
  let at = 0
  const whole = joinTensors(
    'all',
    sizes.map((rows, i) => piece(`${i}`, (at += rows) - rows, rows)),
  )
  expect([whole.rows, whole.cols, whole.dtype, whole.bytes]).toEqual([10, COLS, 'f32', 200])
  for (let from = 0; from <= 10; from++) {
    for (let count = 0; from + count <= 10; count++) {
      const expected = Float32Array.from({ length: count * COLS }, (_, i) => from * COLS + i)
      expect(asF32(whole.load('f32', from, count))).toEqual(expected)
      expect(bf16ToF32(asU16(whole.load('bf16', from, count)))).toEqual(expected)
    }
  }
  expect(() => whole.load('f32', 8, 3)).toThrow(/rows 8 to 11 of all/)
})
