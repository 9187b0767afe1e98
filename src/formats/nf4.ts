/**
 * NF4, the 4-bit type of QLoRA (Dettmers et al. 2023), as bitsandbytes keeps it: weights in row-major blocks of 64, each divided
 * by its absmax and rounded to the nearest of 16 values; the even element in the high nibble. Nested ("double quantisation"), the
 * absmax values, less their mean, are 8-bit codes of the dynamic map in blocks of 256. Arithmetic is f32, step by step as
 * bitsandbytes does it, so that bytes agree.
 */
import { SaqrError } from '../error.ts'
import { dynamicMap, quantise8Bit } from './dynamic-map.ts'

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
const bounds = Float32Array.from({ length: 15 }, (_, i) => Math.fround(nf4Codebook[i]! + nf4Codebook[i + 1]!) / 2)

/**
 * The code of x is a look-up and one comparison: [-1, 1] is cut into cells narrower than the gaps between bounds, so a cell holds
 * at most one of them. `lowest[cell]` is the code of values below that bound.
 */
const cells = 64
const lowest = Uint8Array.from({ length: 2 * cells + 1 }, (_, cell) => bounds.filter((b) => b < cell / cells - 1).length)
/** bounds[code], and nothing above the last */
const above = Float32Array.of(...bounds, Infinity)
const smallest = Math.fround(1e-38)

/**
 * Quantises n weights. As bitsandbytes' CPU kernels: full blocks multiply by 1 / absmax, a last block that is not full divides.
 * Errors: FORMAT_NF4 where a weight is not finite.
 */
export function quantiseNf4(values: Float32Array, blocksize: number = nf4Blocksize): Nf4 {
  const n = values.length
  const packed = new Uint8Array(Math.ceil(n / 2))
  const absmax = new Float32Array(Math.ceil(n / blocksize))
  for (let block = 0, start = 0; start < n; block++, start += blocksize) {
    const end = Math.min(start + blocksize, n)
    const full = end - start === blocksize
    let max = 0
    for (let i = start; i < end; i++) {
      const size = Math.abs(values[i]!)
      if (!(size <= max)) max = size
    }
    if (!(max < Infinity))
      throw new SaqrError('FORMAT_NF4', `Weights ${start} to ${end - 1} hold a value that is not finite: they can't be quantised to NF4.`)
    absmax[block] = full ? max : Math.max(max, smallest)
    const divisor = Math.max(max, smallest)
    const scale = Math.fround(1 / divisor)
    const code = (i: number) => {
      const x = full ? Math.fround(values[i]! * scale) : Math.fround(values[i]! / divisor)
      const low = lowest[Math.min(Math.max((x + 1) * cells, 0), 2 * cells) | 0]!
      return x > above[low]! ? low + 1 : low
    }
    for (let i = start; i < end; i += 2) packed[i >> 1] = (code(i) << 4) | (i + 1 < end ? code(i + 1) : 7)
  }
  return { packed, absmax }
}

/** Quantises absmax values, less their mean, to 8 bits. */
export function nestAbsmax(absmax: Float32Array): NestedAbsmax {
  let sum = 0
  for (const x of absmax) sum += x
  const offset = Math.fround(sum / Math.max(1, absmax.length))
  const code = dynamicMap(true)
  const centred = absmax.map((x) => x - offset)
  return { ...quantise8Bit(centred, code, nf4NestedBlocksize), code, offset }
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
