/** Bytes of a dtype to f64 and back (rounded to nearest, ties to even, as every device rounds). */
import type { DType } from '../../ops/tensor.ts'

const word = new Float32Array(1)
const bits = new Uint32Array(word.buffer)

export function bf16Bits(x: number): number {
  word[0] = x
  const b = bits[0]!
  if ((b & 0x7fffffff) > 0x7f800000) return (b >>> 16) | 0x40
  return (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
}

function fromHalf(h: number): number {
  const sign = h & 0x8000 ? -1 : 1
  const exponent = (h >> 10) & 31
  const fraction = h & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -24 * fraction
}

/** an aligned view of the bytes */
function as<T>(bytes: Uint8Array, type: new (buffer: ArrayBuffer, offset: number, length: number) => T, size: number): T {
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  return new type(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size)
}

export function decode(bytes: Uint8Array, dtype: DType): Float64Array {
  switch (dtype) {
    case 'f32':
      return Float64Array.from(as(bytes, Float32Array, 4))
    case 'i32':
      return Float64Array.from(as(bytes, Int32Array, 4))
    case 'u8':
      return Float64Array.from(bytes)
    case 'bf16':
      return Float64Array.from(as(bytes, Uint16Array, 2), (h) => {
        bits[0] = h << 16
        return word[0]!
      })
    case 'f16':
      return Float64Array.from(as(bytes, Uint16Array, 2), fromHalf)
    case 'nf4':
      throw new Error('4-bit values need their quantisation state')
    default:
      throw new Error(`the reference device reads no blocks of ${dtype}`)
  }
}

export function encode(values: Float64Array, dtype: DType): Uint8Array {
  const array =
    dtype === 'f32'
      ? Float32Array.from(values)
      : dtype === 'i32'
        ? Int32Array.from(values)
        : dtype === 'u8'
          ? Uint8Array.from(values)
          : dtype === 'bf16'
            ? Uint16Array.from(values, bf16Bits)
            : undefined
  if (!array) throw new Error(`the reference device doesn't write ${dtype}`)
  return new Uint8Array(array.buffer)
}
