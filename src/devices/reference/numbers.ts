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

/** loops, here and in `encode`: `from` with a function takes many times as long */
export function decode(bytes: Uint8Array, dtype: DType): Float64Array {
  switch (dtype) {
    case 'f32':
      return new Float64Array(as(bytes, Float32Array, 4))
    case 'i32':
      return new Float64Array(as(bytes, Int32Array, 4))
    case 'u8':
      return new Float64Array(bytes)
    case 'bf16': {
      const halves = as(bytes, Uint16Array, 2)
      const values = new Float64Array(halves.length)
      for (let i = 0; i < halves.length; i++) {
        bits[0] = halves[i]! << 16
        values[i] = word[0]!
      }
      return values
    }
    case 'f16': {
      const halves = as(bytes, Uint16Array, 2)
      const values = new Float64Array(halves.length)
      for (let i = 0; i < halves.length; i++) values[i] = fromHalf(halves[i]!)
      return values
    }
    case 'nf4':
      throw new Error('4-bit values need their quantisation state')
    default:
      throw new Error(`the reference device reads no blocks of ${dtype}`)
  }
}

export function encode(values: Float64Array, dtype: DType): Uint8Array {
  switch (dtype) {
    case 'f32':
      return new Uint8Array(new Float32Array(values).buffer)
    case 'i32':
      return new Uint8Array(new Int32Array(values).buffer)
    case 'u8':
      return new Uint8Array(values)
    case 'bf16': {
      const halves = new Uint16Array(values.length)
      for (let i = 0; i < halves.length; i++) halves[i] = bf16Bits(values[i]!)
      return new Uint8Array(halves.buffer)
    }
    default:
      throw new Error(`the reference device doesn't write ${dtype}`)
  }
}
