/**
 * Values out of GGUF's blocks, bit for bit as the `gguf` package gives them. Scales are f16 and codes at most 8 bits, so every
 * product here is exact and every sum is exact in f64: the store into an f32 array is the one rounding that f32 arithmetic has.
 */
import { convert } from '../dense.ts'
import { bytesOf, f16Values, f32ToBf16 } from '../numbers.ts'
import type { GgmlType } from './types.ts'

export interface BlockReader {
  /** Whole blocks of `type`, or weights of a dense one, as f32, or rounded once to bf16. `into`: memory of that size to use if it likes. */
  (blocks: Uint8Array, type: GgmlType, to: 'f32' | 'bf16', into?: Uint8Array): Uint8Array
  /** The same of blocks where they lie in a file, into `into`. false: it can't, and has written nothing that counts */
  ofFile?(at: { path: string; offset: number; bytes: number }, type: GgmlType, to: 'f32' | 'bf16', into: Uint8Array): boolean
  /** what `unrotated` does */
  unrotate?(stored: Uint8Array, heads: Heads, into: Uint8Array): void
}

/** Heads of `lines` lines of `line` bytes each; `from`: the first that is wanted. */
export interface Heads {
  lines: number
  line: number
  from: number
}

/** As many lines as `into` has room for, from lines of whole heads in the order (0, half, 1, half + 1 …) back to (0, 1 … half, half + 1 …). */
export function unrotated(stored: Uint8Array, { lines, line, from }: Heads, into: Uint8Array): void {
  const half = lines / 2
  for (let at = 0, i = from; at < into.length; at += line, i++) {
    const within = i % lines
    const source = i - within + (within % half) * 2 + (within >= half ? 1 : 0)
    into.set(stored.subarray(source * line, (source + 1) * line), at)
  }
}

/** Decodes `blocks` blocks that start at byte `at` into `out` from index `to` on. */
type Decoder = (bytes: Uint8Array, at: number, blocks: number, out: Float32Array, to: number) => void

const f16 = (table: Float32Array, bytes: Uint8Array, at: number) => table[bytes[at]! | (bytes[at + 1]! << 8)]!

/**
 * scale · (q − zero) + shift of 32 codes of 4 bits in 16 bytes: the first half in the low nibbles, the second in the high ones.
 * A shift of −0 leaves every value as it is, the sign of a zero too.
 */
function nibbles(bytes: Uint8Array, at: number, out: Float32Array, to: number, scale: number, zero: number, shift: number): void {
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + j]!
    out[to + j] = scale * ((byte & 15) - zero) + shift
    out[to + j + 16] = scale * ((byte >> 4) - zero) + shift
  }
}

/** The same with a fifth bit each: 32 of them in the 4 bytes before the nibbles. */
function nibblesAndBit(bytes: Uint8Array, at: number, out: Float32Array, to: number, scale: number, zero: number, shift: number): void {
  const high = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + 4 + j]!
    out[to + j] = scale * (((byte & 15) | (((high >>> j) & 1) << 4)) - zero) + shift
    out[to + j + 16] = scale * (((byte >> 4) | (((high >>> (j + 16)) & 1) << 4)) - zero) + shift
  }
}

/** Scale and minimum of the 8 sub-blocks of Q4_K and Q5_K, 6 bits each in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight. */
function scaleAndMin(bytes: Uint8Array, at: number, j: number): [scale: number, min: number] {
  if (j < 4) return [bytes[at + j]! & 63, bytes[at + j + 4]! & 63]
  const low = bytes[at + j + 4]!
  return [(low & 15) | ((bytes[at + j - 4]! >> 6) << 4), (low >> 4) | ((bytes[at + j]! >> 6) << 4)]
}

/** twice the values of 1 bit of sign, 2 of exponent, 1 of fraction; the package has one zero only */
const FP4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

export const decoders: Readonly<Record<string, Decoder>> = {
  Q4_0(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 18, to += 32) nibbles(bytes, at + 2, out, to, f16(table, bytes, at), 8, -0)
  },
  Q4_1(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 20, to += 32)
      nibbles(bytes, at + 4, out, to, f16(table, bytes, at), 0, f16(table, bytes, at + 2))
  },
  Q5_0(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 22, to += 32) nibblesAndBit(bytes, at + 2, out, to, f16(table, bytes, at), 16, -0)
  },
  Q5_1(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 24, to += 32) {
      nibblesAndBit(bytes, at + 4, out, to, f16(table, bytes, at), 0, f16(table, bytes, at + 2))
    }
  },
  Q8_0(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 34, to += 32) {
      const d = f16(table, bytes, at)
      for (let j = 0; j < 32; j++) out[to + j] = d * ((bytes[at + 2 + j]! << 24) >> 24)
    }
  },
  Q4_K(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 144, to += 256) {
      const d = f16(table, bytes, at)
      const dmin = f16(table, bytes, at + 2)
      for (let j = 0; j < 8; j++) {
        const [scale, min] = scaleAndMin(bytes, at + 4, j)
        const from = at + 16 + (j >> 1) * 32
        const shift = (j & 1) * 4
        for (let k = 0; k < 32; k++) out[to + j * 32 + k] = d * scale * ((bytes[from + k]! >> shift) & 15) - dmin * min
      }
    }
  },
  Q5_K(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 176, to += 256) {
      const d = f16(table, bytes, at)
      const dmin = f16(table, bytes, at + 2)
      for (let j = 0; j < 8; j++) {
        const [scale, min] = scaleAndMin(bytes, at + 4, j)
        const from = at + 48 + (j >> 1) * 32
        const shift = (j & 1) * 4
        for (let k = 0; k < 32; k++) {
          const q = ((bytes[from + k]! >> shift) & 15) | (((bytes[at + 16 + k]! >> j) & 1) << 4)
          out[to + j * 32 + k] = d * scale * q - dmin * min
        }
      }
    }
  },
  /** a power of two in a byte, then 16 bytes of codes: the first half in the low nibbles; values are halves */
  MXFP4(bytes, at, blocks, out, to) {
    for (let b = 0; b < blocks; b++, at += 17, to += 32) {
      const half = 2 ** (bytes[at]! - 128)
      for (let j = 0; j < 16; j++) {
        const byte = bytes[at + 1 + j]!
        out[to + j] = FP4[byte & 15]! * half
        out[to + j + 16] = FP4[byte >> 4]! * half
      }
    }
  },
  /** 6-bit codes: per half of 128, 64 bytes of low nibbles and 32 bytes of two high bits; an int8 scale for each 16 */
  Q6_K(bytes, at, blocks, out, to) {
    const table = f16Values()
    for (let b = 0; b < blocks; b++, at += 210, to += 256) {
      const d = f16(table, bytes, at + 208)
      for (let j = 0; j < 16; j++) {
        const half = j >> 3
        const quarter = (j >> 1) & 3
        const low = at + half * 64 + (quarter & 1) * 32 + (j & 1) * 16
        const high = at + 128 + half * 32 + (j & 1) * 16
        const scale = d * ((bytes[at + 192 + j]! << 24) >> 24)
        for (let k = 0; k < 16; k++) {
          const q = ((bytes[low + k]! >> ((quarter >> 1) * 4)) & 15) | (((bytes[high + k]! >> (quarter * 2)) & 3) << 4)
          out[to + j * 16 + k] = scale * (q - 32)
        }
      }
    }
  },
}

export const DENSE: Readonly<Record<string, 'f32' | 'f16' | 'bf16'>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

/** Weights decoded at a time: bounds the f32 copy beside a bf16 result. */
const CHUNK = 1 << 20

/** The definition: what any other reader gives too. */
export const inJavaScript: BlockReader = (bytes, type, to) => {
  const dense = DENSE[type.name]
  if (dense) return convert(bytes, dense, to)
  const decoder = decoders[type.name]!
  const blocks = bytes.byteLength / type.bytes
  const count = blocks * type.block
  if (to === 'f32') {
    const out = new Float32Array(count)
    decoder(bytes, 0, blocks, out, 0)
    return bytesOf(out)
  }
  const out = new Uint16Array(count)
  const part = new Float32Array(Math.min(count, CHUNK))
  const step = CHUNK / type.block
  for (let block = 0; block < blocks; block += step) {
    const some = Math.min(step, blocks - block)
    decoder(bytes, block * type.bytes, some, part, 0)
    f32ToBf16(part.subarray(0, some * type.block), out.subarray(block * type.block, (block + some) * type.block))
  }
  return bytesOf(out)
}
