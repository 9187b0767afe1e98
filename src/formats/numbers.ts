/** Conversions between f32, bf16 and f16, over whole arrays. Typed arrays here are little endian, as every file format we read is. */

/** bf16 is the upper half of an f32: exact. */
export function bf16ToF32(from: Uint16Array, to = new Float32Array(from.length)): Float32Array {
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length)
  for (let i = 0; i < from.length; i++) bits[i] = from[i]! << 16
  return to
}

/** Round to nearest, ties to even; every NaN becomes 0x7fc0, as in PyTorch. */
export function f32ToBf16(from: Float32Array, to = new Uint16Array(from.length)): Uint16Array {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length)
  for (let i = 0; i < from.length; i++) {
    const b = bits[i]!
    to[i] = (b & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
  }
  return to
}

let f16Table: Float32Array | undefined

/** Every f16 has an f32: a table of all 65,536 beats bit work for whole tensors. */
export function f16Values(): Float32Array {
  if (f16Table) return f16Table
  f16Table = new Float32Array(65536)
  for (let h = 0; h < 65536; h++) {
    const exponent = (h >> 10) & 31
    const fraction = h & 1023
    const size =
      exponent === 31 ? (fraction ? Number.NaN : Infinity) : exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24
    f16Table[h] = h & 0x8000 ? -size : size
  }
  return f16Table
}

export function f16ToF32(from: Uint16Array, to = new Float32Array(from.length)): Float32Array {
  const table = f16Values()
  for (let i = 0; i < from.length; i++) to[i] = table[from[i]!]!
  return to
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

/** One f32 as f16 bits: nearest, ties to even, overflow to infinity, subnormals kept. */
export function f16Bits(x: number): number {
  scratch[0] = x
  const b = scratchBits[0]!
  const sign = (b >>> 16) & 0x8000
  const size = b & 0x7fffffff
  if (size > 0x7f800000) return sign | 0x7e00
  if (size >= 0x477ff000) return sign | 0x7c00 // 65520 and above round to infinity
  if (size < 0x38800000) {
    // below 2^-14: a multiple of 2^-24; adding 0.5 leaves exactly that rounding in the lower bits (ulp of 0.5 is 2^-24)
    scratchBits[0] = size
    scratch[0] = scratch[0]! + 0.5
    return sign | (scratchBits[0]! - 0x3f000000)
  }
  return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13)
}

export function f32ToF16(from: Float32Array, to = new Uint16Array(from.length)): Uint16Array {
  for (let i = 0; i < from.length; i++) to[i] = f16Bits(from[i]!)
  return to
}

/** The bytes of any typed array, not copied. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

/** Bytes as 2- or 4-byte elements; copied only where they are not aligned. */
export function asU16(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 ? bytes.slice() : bytes
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 1)
}

export function asF32(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 ? bytes.slice() : bytes
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 2)
}
