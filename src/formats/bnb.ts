/**
 * bitsandbytes' 4-bit checkpoints: `X.weight` holds packed nibbles, and its quantisation state stands beside it in tensors of their
 * own. Here the parts are put together again as one tensor of type nf4, everything checked against everything else.
 */
import { SaqrError } from '../error.ts'
import type { StoredTensor } from './dense.ts'
import { checkRows, convert, matrixShape } from './dense.ts'
import { readRange } from './files.ts'
import { decodeUtf8, isObject, type JsonObject, parseJson, show } from './json.ts'
import { dequantiseNf4, nf4Codebook } from './nf4.ts'
import { asF32, bytesOf, f32ToBf16, f32ToF16 } from './numbers.ts'
import { madeOf } from './stored.ts'
import type { CheckpointTensor, FileSource, QuantState } from './tensor.ts'

const parts = ['absmax', 'quant_map', 'nested_absmax', 'nested_quant_map', 'quant_state.bitsandbytes__nf4'] as const
const nf4Mark = '.quant_state.bitsandbytes__nf4'
const dtypes: Readonly<Record<string, QuantState['dtype']>> = { float32: 'f32', bfloat16: 'bf16', float16: 'f16' }

/** Takes the quantised tensors and their parts out of `stored`; what is left is dense. Errors: FORMAT_NF4, FORMAT_QUANTIZATION. */
export function takeNf4(stored: Map<string, StoredTensor>): CheckpointTensor[] {
  const found: CheckpointTensor[] = []
  for (const key of [...stored.keys()]) {
    if (key.endsWith('.quant_state.bitsandbytes__fp4')) throw unsupported(stored.get(key)!, 'bitsandbytes FP4')
    if (key.endsWith('.SCB')) throw unsupported(stored.get(key)!, 'bitsandbytes 8-bit')
    if (!key.endsWith(nf4Mark)) continue
    const name = key.slice(0, -nf4Mark.length)
    const packed = stored.get(name)
    if (!packed) throw bad(stored.get(key)!.path, name, 'has a quantisation state but no packed weights')
    const state = new Map<string, StoredTensor>()
    for (const part of parts) {
      const tensor = stored.get(`${name}.${part}`)
      if (tensor) state.set(part, tensor)
      stored.delete(`${name}.${part}`)
    }
    stored.delete(name)
    found.push(nf4Tensor(name, packed, state))
  }
  return found
}

function nf4Tensor(name: string, packed: StoredTensor, state: Map<string, StoredTensor>): CheckpointTensor {
  const fail = (what: string) => bad(packed.path, name, what)
  const part = (key: (typeof parts)[number], storage: string, bytes: number): StoredTensor => {
    const tensor = state.get(key)
    if (!tensor) throw fail(`lacks ${name}.${key}`)
    if (tensor.storage !== storage || tensor.bytes !== bytes) {
      throw fail(`keeps ${key} as ${tensor.storage} in ${tensor.bytes} bytes where ${storage} in ${bytes} are needed`)
    }
    return tensor
  }
  const json = state.get('quant_state.bitsandbytes__nf4')!
  if (json.bytes > 65536) throw fail('has a quantisation state that is too long')
  const s = parseJson(decodeUtf8(bytesAt(json), `${json.path}: ${json.name}`), `${json.path}: ${json.name}`)
  if (!isObject(s) || s.quant_type !== 'nf4') throw fail('has a quantisation state that is not of type nf4')
  const shape = readShape(s, fail)
  const blocksize = readBlocksize(s.blocksize, fail)
  const dtype = typeof s.dtype === 'string' && Object.hasOwn(dtypes, s.dtype) ? dtypes[s.dtype] : undefined
  if (!dtype) throw fail(`dequantises to ${show(s.dtype)}, which is not supported`)
  const count = shape[0]! * shape[1]!
  if (packed.storage !== 'U8' || packed.bytes !== Math.ceil(count / 2)) {
    throw fail(`packs ${shape.join(' × ')} weights into ${packed.bytes} bytes of ${packed.storage}`)
  }
  const codebook = asF32(bytesAt(part('quant_map', 'F32', 64)))
  if (codebook.some((x, i) => !(Math.abs(x - nf4Codebook[i]!) < 1e-6))) throw fail('has a quant_map that is not the NF4 code book')
  const blocks = Math.ceil(count / blocksize)
  const quant: QuantState = { blocksize, codebook: nf4Codebook, dtype, absmax: { kind: 'zero' } }
  if (state.has('nested_absmax')) {
    const nestedBlocksize = readBlocksize(s.nested_blocksize, fail)
    if (typeof s.nested_offset !== 'number' || s.nested_dtype !== 'float32')
      throw fail('has a nested state without offset or not in float32')
    quant.absmax = sourceOf(part('absmax', 'U8', blocks))
    quant.nested = {
      blocksize: nestedBlocksize,
      code: asF32(bytesAt(part('nested_quant_map', 'F32', 1024))),
      absmax: sourceOf(part('nested_absmax', 'F32', 4 * Math.ceil(blocks / nestedBlocksize))),
      offset: Math.fround(s.nested_offset),
    }
  } else {
    quant.absmax = sourceOf(part('absmax', 'F32', 4 * blocks))
  }
  const { rows, cols } = matrixShape(shape)
  const tensor: CheckpointTensor = {
    name,
    shape,
    rows,
    cols,
    dtype: 'nf4',
    storage: 'nf4',
    quant,
    bytes: packed.bytes + [...state.values()].reduce((sum, t) => sum + t.bytes, 0),
    source: sourceOf(packed),
    load(to, from = 0, countRows = rows - from) {
      checkRows(name, rows, from, countRows)
      return loadNf4(packed, quant, from * cols, countRows * cols, to)
    },
  }
  return madeOf(tensor, () => [packed, ...state.values()])
}

/** Weights [from, from + count): bitsandbytes gives them in the type its state names, so they are rounded to that first. */
function loadNf4(packed: StoredTensor, quant: QuantState, from: number, count: number, to: 'f32' | 'bf16'): Uint8Array {
  const firstBlock = Math.floor(from / quant.blocksize)
  const blocks = Math.ceil((from + count) / quant.blocksize) - firstBlock
  const start = firstBlock * quant.blocksize
  const bytes = readRange(packed.path, packed.offset + start / 2, Math.ceil((from + count - start) / 2))
  const values = dequantiseNf4(bytes, readAbsmax(quant, firstBlock, blocks), quant.blocksize, from - start, count)
  return roundTo(quant.dtype, values, to)
}

/** absmax of blocks [first, first + count), taken out of their own quantisation where nested. */
export function readAbsmax(quant: QuantState, first: number, count: number): Float32Array {
  const read = (source: QuantState['absmax'], offset: number, bytes: number) => {
    if (source.kind === 'data') return source.bytes.slice(offset, offset + bytes)
    if (source.kind === 'file') return readRange(source.path, source.offset + offset, bytes)
    return new Uint8Array(bytes)
  }
  const { nested } = quant
  if (!nested) return asF32(read(quant.absmax, 4 * first, 4 * count))
  const codes = read(quant.absmax, first, count)
  const firstScale = Math.floor(first / nested.blocksize)
  const scales = asF32(read(nested.absmax, 4 * firstScale, 4 * (Math.ceil((first + count) / nested.blocksize) - firstScale)))
  return Float32Array.from(codes, (code, i) => {
    const scale = scales[Math.floor((first + i) / nested.blocksize) - firstScale]!
    return Math.fround(nested.code[code]! * scale) + nested.offset
  })
}

function roundTo(stored: QuantState['dtype'], values: Float32Array, to: 'f32' | 'bf16'): Uint8Array {
  if (stored === 'f32') return convert(bytesOf(values), 'f32', to)
  const rounded = stored === 'bf16' ? bytesOf(f32ToBf16(values)) : bytesOf(f32ToF16(values))
  return convert(rounded, stored, to)
}

function readShape(state: JsonObject, fail: (what: string) => SaqrError): [number, number] {
  const { shape } = state
  const fine = Array.isArray(shape) && shape.length === 2 && shape.every((n) => Number.isSafeInteger(n) && n > 0)
  if (!fine || !Number.isSafeInteger(shape[0] * shape[1])) throw fail(`has the shape ${show(shape)} in its quantisation state`)
  return shape as [number, number]
}

function readBlocksize(value: unknown, fail: (what: string) => SaqrError): number {
  if (typeof value !== 'number' || ![32, 64, 128, 256, 512, 1024, 2048, 4096].includes(value)) {
    throw fail(`has the block size ${show(value)} in its quantisation state`)
  }
  return value
}

const bytesAt = (tensor: StoredTensor) => readRange(tensor.path, tensor.offset, tensor.bytes)
const sourceOf = (tensor: StoredTensor): FileSource => ({ kind: 'file', path: tensor.path, offset: tensor.offset })

function bad(path: string, name: string, what: string): SaqrError {
  return new SaqrError('FORMAT_NF4', `${path}: the 4-bit tensor ${name} ${what}. Fetch or save the checkpoint again.`)
}

function unsupported({ path, name }: StoredTensor, what: string): SaqrError {
  return new SaqrError(
    'FORMAT_QUANTIZATION',
    `${path}: ${name} belongs to a ${what} checkpoint, which is not supported. Use the unquantised model, or its NF4 version.`,
  )
}
