/**
 * NF4, the 4-bit type of QLoRA (Dettmers et al. 2023), as bitsandbytes keeps it: weights in row-major blocks of 64, each divided
 * by its absmax and rounded to the nearest of 16 values; the even element in the high nibble. Nested ("double quantisation"), the
 * absmax values, less their mean, are 8-bit codes of the dynamic map in blocks of 256. Arithmetic is f32, step by step as
 * bitsandbytes does it, so that bytes agree.
 */
import { SaqrError } from '../error.ts'
import { dynamicMap, quantise8Bit } from './dynamic-map.ts'
import { bf16ToF32 } from './numbers.ts'

/** Quantiles of the normal distribution, scaled to [-1, 1]. */
export const nf4Codebook: Float32Array = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
) // biome-ignore format: a table

export const nf4Blocksize = 64
export const nf4NestedBlocksize = 256

export interface Nf4 {
  /** ceil(n / 2) bytes */
  packed: Uint8Array
  /** one a block */
  absmax: Float32Array
}

/** absmax in 8 bits: absmax = code[codes[i]] · absmax2[i / 256] + offset */
export interface NestedAbsmax {
  codes: Uint8Array
  code: Float32Array
  absmax: Float32Array
  offset: number
}

/** Half way between neighbours; a value above goes up. */
export const nf4Bounds: Float32Array = Float32Array.from({ length: 15 }, (_, i) => Math.fround(nf4Codebook[i]! + nf4Codebook[i + 1]!) / 2)

/**
 * The code of x is a look-up and one comparison: [-1, 1] is cut into cells narrower than the gaps between bounds, so a cell holds
 * at most one of them. `lowest[cell]` counts the bounds below the cell, `above[code]` is the next one.
 */
const cells = 64
const lowest = Uint8Array.from({ length: 2 * cells + 1 }, (_, cell) => nf4Bounds.filter((b) => b < cell / cells - 1).length)
const above = Float32Array.of(...nf4Bounds, Infinity)

/** bitsandbytes' floor for absmax: zeros stay zeros */
const smallest = Math.fround(1e-38)
/** fills the half of the last byte that no weight is left for */
const zeroCode = 7

/**
 * Quantises n weights: f32, or bf16 as a Uint16Array. As bitsandbytes' CPU kernel does: full blocks are multiplied by 1 / absmax, a
 * last block that is not full is divided by it. Errors: FORMAT_NF4 where a weight is not finite.
 */
export function quantiseNf4(values: Float32Array | Uint16Array, blocksize: number = nf4Blocksize): Nf4 {
  const n = values.length
  const packed = new Uint8Array(Math.ceil(n / 2))
  const absmax = new Float32Array(Math.ceil(n / blocksize))
  const part = new Float32Array(Math.min(n, 512 * blocksize))
  for (let start = 0; start < n; start += part.length) {
    const some = values.subarray(start, start + part.length)
    const f32 = some instanceof Float32Array ? some : bf16ToF32(some, part.subarray(0, some.length))
    quantiseBlocks(f32, blocksize, packed.subarray(start / 2), absmax.subarray(start / blocksize), start)
  }
  return { packed, absmax }
}

/** `start`: where these values stand in the whole, for the message. */
function quantiseBlocks(x: Float32Array, blocksize: number, packed: Uint8Array, absmax: Float32Array, start: number): void {
  const bits = new Uint32Array(x.buffer, x.byteOffset, x.length)
  for (let block = 0, from = 0; from < x.length; block++, from += blocksize) {
    const to = Math.min(from + blocksize, x.length)
    // without their sign, floats are ordered as their bits; infinity and NaN come last
    let largest = 0
    for (let i = from; i < to; i++) largest = Math.max(largest, bits[i]! & 0x7fffffff)
    if (largest >= 0x7f800000) throw notFinite(start + from, start + to)
    const max = floatOf(largest)
    const divisor = Math.max(max, smallest)
    absmax[block] = to - from === blocksize ? max : divisor
    if (to - from === blocksize) {
      const scale = Math.fround(1 / divisor)
      for (let i = from; i < to; i += 2) packed[i >> 1] = (codeOf(Math.fround(x[i]! * scale)) << 4) | codeOf(Math.fround(x[i + 1]! * scale))
    } else {
      const last = (i: number) => (i < to ? codeOf(Math.fround(x[i]! / divisor)) : zeroCode)
      for (let i = from; i < to; i += 2) packed[i >> 1] = (last(i) << 4) | last(i + 1)
    }
  }
}

/** x lies in [-1, 1] up to rounding, which neither leaves the table nor passes a bound. */
function codeOf(x: number): number {
  const low = lowest[((x + 1) * cells) | 0]!
  return x > above[low]! ? low + 1 : low
}

const oneFloat = new Float32Array(1)
const itsBits = new Uint32Array(oneFloat.buffer)
function floatOf(bits: number): number {
  itsBits[0] = bits
  return oneFloat[0]!
}

export function notFinite(from: number, to: number): SaqrError {
  return new SaqrError(
    'FORMAT_NF4',
    `Weights ${from} to ${to - 1} hold a value that is not finite: they can't be quantised to NF4. The checkpoint is damaged.`,
  )
}

/** Who does the work, with the same bytes: this file, or native code. */
export interface Quantiser {
  quantise(values: Float32Array | Uint16Array): Nf4
  /** values less `offset`, in blocks of 256 */
  quantise8Bit(values: Float32Array, offset: number, code: Float32Array): { codes: Uint8Array; absmax: Float32Array }
}

export const inJavaScript: Quantiser = {
  quantise: (values) => quantiseNf4(values),
  quantise8Bit: (values, offset, code) => quantise8Bit(values.map((x) => x - offset), code, nf4NestedBlocksize), // biome-ignore format: short
}

/** Quantises absmax values, less their mean, to 8 bits. */
export function nestAbsmax(absmax: Float32Array, by: Quantiser = inJavaScript): NestedAbsmax {
  let sum = 0
  for (const x of absmax) sum += x
  const offset = Math.fround(sum / Math.max(1, absmax.length))
  const code = dynamicMap(true)
  return { ...by.quantise8Bit(absmax, offset, code), code, offset }
}

/** Every byte as its two values. */
let pairs: Float32Array | undefined

/** Weights [from, from + count) of a run of blocks, in f32. */
export function dequantiseNf4(packed: Uint8Array, absmax: Float32Array, blocksize: number, from: number, count: number): Float32Array {
  pairs ??= Float32Array.from({ length: 512 }, (_, i) => nf4Codebook[i & 1 ? (i >> 1) & 15 : i >> 5]!)
  const values = new Float32Array(count)
  const shift = Math.log2(blocksize)
  for (let i = from, at = 0; at < count; i++, at++) values[at] = pairs[(packed[i >> 1]! << 1) | (i & 1)]! * absmax[i >> shift]!
  return values
}
