/**
 * The safetensors header, read strictly: u64 length, JSON, then the tensors' bytes without hole, overlap or rest.
 * Nothing in it is believed before it is checked: the file may be cut short or made to mislead.
 * Format: https://github.com/huggingface/safetensors
 */
import { SaqrError } from '../../error.ts'
import { decodeUtf8, isObject, type JsonObject, parseJson, show } from '../json.ts'

/** Bits an element takes. */
const bits: Readonly<Record<string, number>> = {
  BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64,
} // biome-ignore format: a table

export type SafetensorsDType = string

export interface SafetensorsEntry {
  dtype: SafetensorsDType
  shape: readonly number[]
  /** of its first byte in the file */
  offset: number
  bytes: number
}

export interface SafetensorsHeader {
  metadata: Readonly<Record<string, string>>
  tensors: Map<string, SafetensorsEntry>
}

export const maxHeaderBytes = 100_000_000

/** Bytes of a tensor; undefined for an unknown type, a size beyond 2^53 or half a byte. */
export function tensorBytes(dtype: string, shape: readonly number[]): number | undefined {
  const width = Object.hasOwn(bits, dtype) ? bits[dtype] : undefined
  if (width === undefined) return undefined
  let size = width
  for (const n of shape) {
    size *= n
    if (!Number.isSafeInteger(size)) return undefined
  }
  return size % 8 === 0 ? size / 8 : undefined
}

/** Length of the JSON that follows the first 8 bytes, held against the size of the file. */
export function headerLength(first8: Uint8Array, fileSize: number, path: string): number {
  if (fileSize < 8 || first8.length < 8) throw bad(path, `has ${fileSize} bytes, too few for a header`)
  const view = new DataView(first8.buffer, first8.byteOffset, 8)
  const length = view.getBigUint64(0, true)
  if (length > BigInt(maxHeaderBytes)) throw bad(path, `announces a header of ${length} bytes (at most ${maxHeaderBytes} are allowed)`)
  if (Number(length) > fileSize - 8)
    throw bad(path, `announces a header of ${length} bytes but has only ${fileSize} in all: it was cut short`)
  return Number(length)
}

/** Parses and checks the header's JSON. Errors: FORMAT_SAFETENSORS. */
export function parseHeader(json: Uint8Array, fileSize: number, path: string): SafetensorsHeader {
  if (json[0] !== 0x7b) throw bad(path, 'has a header that does not start with {')
  const text = decodeUtf8(json, `${path}: the header`)
  const value = parseJson(text, `${path}: the header`)
  if (!isObject(value)) throw bad(path, 'has a header that is no JSON object')
  refuseAmbiguous(text, path)
  const tensors = new Map<string, SafetensorsEntry>()
  let metadata: Record<string, string> = {}
  const dataStart = 8 + json.length
  for (const [name, entry] of Object.entries(value)) {
    if (name === '__metadata__') metadata = readMetadata(entry, path)
    else tensors.set(name, readEntry(name, entry, dataStart, path))
  }
  checkLayout(tensors, dataStart, fileSize, path)
  return { metadata, tensors }
}

function readMetadata(value: unknown, path: string): Record<string, string> {
  if (!isObject(value) || !Object.values(value).every((v) => typeof v === 'string')) throw bad(path, 'has metadata that is not all strings')
  return value as Record<string, string>
}

function readEntry(name: string, entry: unknown, dataStart: number, path: string): SafetensorsEntry {
  const where = `tensor ${show(name)}`
  if (!isObject(entry)) throw bad(path, `says nothing about ${where}`)
  const { dtype, shape, data_offsets: offsets, ...rest } = entry as JsonObject
  const extra = Object.keys(rest)[0]
  if (extra !== undefined) throw bad(path, `has an unknown field ${show(extra)} in ${where}`)
  if (typeof dtype !== 'string' || !Object.hasOwn(bits, dtype)) throw bad(path, `gives ${where} the unknown type ${show(dtype)}`)
  if (!isSizes(shape)) throw bad(path, `gives ${where} the shape ${show(shape)}`)
  if (!isSizes(offsets) || offsets.length !== 2) throw bad(path, `gives ${where} the offsets ${show(offsets)}`)
  const [from, to] = offsets as [number, number]
  const size = tensorBytes(dtype, shape)
  if (size === undefined || to - from !== size) {
    throw bad(path, `keeps ${where} in ${to - from} bytes where ${dtype} × [${shape.join(', ')}] takes ${size ?? 'an impossible number'}`)
  }
  return { dtype, shape, offset: dataStart + from, bytes: size }
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0)

/** Tensors laid end to end from the first byte after the header to the last of the file. */
function checkLayout(tensors: Map<string, SafetensorsEntry>, dataStart: number, fileSize: number, path: string): void {
  const sorted = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes)
  let at = dataStart
  for (const [name, { offset, bytes }] of sorted) {
    if (offset !== at) {
      const what = offset < at ? 'overlaps the tensor before it' : `leaves a hole of ${offset - at} bytes before it`
      throw bad(path, `puts tensor ${show(name)} where it ${what}`)
    }
    at += bytes
  }
  if (at > fileSize) throw bad(path, `has ${fileSize} bytes where its tensors need ${at}: it was cut short`)
  if (at < fileSize) throw bad(path, `has ${fileSize - at} bytes after its last tensor`)
}

/**
 * What JSON.parse hides: a name given twice (which one counts is anybody's guess), `__proto__`, and numbers that are no
 * integers as written (1.0, 1e3). `text` is valid JSON.
 */
function refuseAmbiguous(text: string, path: string): void {
  const open: (Set<string> | undefined)[] = [] // one an object; undefined for a list
  let isKey = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (c === '"') {
      const start = i
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++
      const keys = open.at(-1)
      if (!isKey || !keys) continue
      const key = JSON.parse(text.slice(start, i + 1)) as string
      if (keys.has(key)) throw bad(path, `names ${show(key)} twice in its header`)
      if (key === '__proto__') throw bad(path, 'has a tensor named __proto__')
      keys.add(key)
      isKey = false
    } else if (c === '{') {
      open.push(new Set())
      isKey = true
    } else if (c === '[') {
      open.push(undefined)
    } else if (c === '}' || c === ']') {
      open.pop()
    } else if (c === ',') {
      isKey = open.at(-1) !== undefined
    } else if (!':0123456789 \n\r\t'.includes(c)) {
      throw bad(path, `has ${show(c)} in its header where only names and whole numbers may stand`)
    }
  }
}

function bad(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_SAFETENSORS', `${path} is not a sound safetensors file: it ${what}. Fetch or save it again.`)
}
