/**
 * Weights in 8-bit floats with a scale for each block (DeepSeek V3's checkpoints): `X.weight` holds codes, `X.weight_scale_inv` (rows / block,
 * cols / block) what they are multiplied with, in f32. As transformers' Fp8Dequantize has it, but for a block that the weight's edge cuts:
 * its codes are scaled by it alone, as those who quantise do it; transformers 5.23 shares a weight out evenly, or refuses it.
 */
import { SaqrError } from '../error.ts'
import { checkRows, matrixShape, type StoredTensor } from './dense.ts'
import { readRange } from './files.ts'
import { isObject, type JsonObject, show } from './json.ts'
import { asF32, asU16, bf16ToF32, bytesOf, f16ToF32, f32ToBf16 } from './numbers.ts'
import { madeOf } from './stored.ts'
import type { CheckpointTensor } from './tensor.ts'

const CODES = 'F8_E4M3'
const SCALES = '_scale_inv'
/** rows and columns of a block where the configuration says none */
const BLOCK = [128, 128] as const

/** Takes 8-bit weights and their scales out of `stored`; what is left is dense. Errors: FORMAT_FP8. */
export function takeFp8(stored: Map<string, StoredTensor>, config: JsonObject): CheckpointTensor[] {
  const quantization = isObject(config.quantization_config) ? config.quantization_config : {}
  const found: CheckpointTensor[] = []
  for (const [name, codes] of [...stored]) {
    if (codes.storage !== CODES) continue
    const scales = stored.get(name + SCALES)
    if (!scales && quantization.quant_method === 'fp8') throw bad(codes, `has no ${name}${SCALES} beside it`)
    if (!scales) continue
    stored.delete(name)
    stored.delete(name + SCALES)
    stored.delete(name.replace(/weight$/, 'activation_scale')) // of those who compute in 8 bits
    found.push(fp8Tensor(codes, scales, quantization.weight_block_size))
  }
  return found
}

function fp8Tensor(codes: StoredTensor, scales: StoredTensor, blockSize: unknown): CheckpointTensor {
  const { name, shape, storage, path } = codes
  if (shape.length !== 2) throw bad(codes, `has the shape ${shape.join(' × ')} where rows and columns are needed`)
  const { rows, cols } = matrixShape(shape)
  const grid = scales.shape.length === 2 ? matrixShape(scales.shape) : { rows: 1, cols: 1 }
  if (grid.rows * grid.cols !== scales.shape.reduce((n, size) => n * size, 1))
    throw bad(codes, `has scales of the shape ${scales.shape.join(' × ')}`)
  const given = readBlock(codes, blockSize)
  const block = {
    rows: blockOf(codes, 'rows', rows, grid.rows, given[0]),
    cols: blockOf(codes, 'columns', cols, grid.cols, given[1]),
  }
  let values: Float32Array | undefined
  const tensor: CheckpointTensor = {
    name,
    shape,
    rows,
    cols,
    dtype: 'f32',
    storage,
    bytes: codes.bytes + scales.bytes,
    load(to, from = 0, count = rows - from) {
      checkRows(name, rows, from, count)
      values ??= scaleValues(scales)
      const bytes = readRange(path, codes.offset + from * cols, count * cols)
      const out = new Float32Array(count * cols)
      for (let i = 0; i < count; i++) {
        const scaleAt = Math.floor((from + i) / block.rows) * grid.cols
        // exact in f64: the store into f32 is the one rounding that f32 arithmetic has
        for (let j = 0, k = i * cols; j < cols; j++, k++) out[k] = VALUES[bytes[k]!]! * values[scaleAt + Math.floor(j / block.cols)]!
      }
      return bytesOf(to === 'f32' ? out : f32ToBf16(out))
    },
  }
  return madeOf(tensor, () => [codes, scales])
}

/** a block's rows and columns; null: one block is all of the weight */
function readBlock(codes: StoredTensor, given: unknown): readonly [number, number] {
  if (given === undefined) return BLOCK
  if (given === null) return [Infinity, Infinity]
  if (Array.isArray(given) && given.length === 2 && given.every((n) => Number.isSafeInteger(n) && n > 0)) return [given[0], given[1]]
  throw bad(codes, `is of a checkpoint whose config.json has the weight_block_size ${show(given)} where two whole numbers are needed`)
}

/** `size` in `count` blocks: of the size that the configuration gives, the last one cut, or else evenly */
function blockOf(codes: StoredTensor, what: string, size: number, count: number, given: number): number {
  const wanted = Math.min(given, size)
  if (Math.ceil(size / wanted) === count) return wanted
  if (size % count === 0) return size / count
  throw bad(codes, `has scales for ${count} blocks of its ${size} ${what}, which are neither ${given} nor evenly many in each`)
}

/** all 256 codes: a sign, 4 bits of exponent, 3 of fraction (E4M3FN: no infinities, NaN where all bits are set) */
const VALUES = Float32Array.from({ length: 256 }, (_, code) => {
  const [exponent, fraction] = [(code >> 3) & 15, code & 7]
  if ((code & 127) === 127) return Number.NaN
  const size = exponent ? (8 + fraction) * 2 ** (exponent - 10) : fraction * 2 ** -9
  return code & 128 ? -size : size
})

/** a scale that is a power of two, in a byte */
export const powerOfTwo = (byte: number): number => Math.fround(2 ** (byte - 127))

function scaleValues(scales: StoredTensor): Float32Array {
  const bytes = readRange(scales.path, scales.offset, scales.bytes)
  switch (scales.storage) {
    case 'F32':
      return asF32(bytes)
    case 'BF16':
      return bf16ToF32(asU16(bytes))
    case 'F16':
      return f16ToF32(asU16(bytes))
    case 'U8':
      return Float32Array.from(bytes, powerOfTwo)
    case 'F8_E8M0':
      return Float32Array.from(bytes, (byte) => (byte === 255 ? Number.NaN : powerOfTwo(byte)))
    default:
      throw bad(scales, `is stored as ${scales.storage}: scales are F32, BF16, F16, F8_E8M0 or U8`)
  }
}

function bad({ path, name }: StoredTensor, what: string): SaqrError {
  return new SaqrError('FORMAT_FP8', `${path}: the 8-bit tensor ${name} ${what}. Fetch or save the checkpoint again.`)
}
