/**
 * The header of a GGUF file (versions 2 and 3, little endian), read strictly: every count is held against the bytes that are left
 * before anything is allocated for it, every tensor against the file's size and the others.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { SaqrError } from '../../error.ts'
import { show } from '../json.ts'
import type { Texts } from '../texts.ts'
import { type Bytes, Cursor, isNumberKind } from './cursor.ts'
import { type GgmlType, ggmlTypes, otherTypes } from './types.ts'

/** a list of texts is one of them, cut out where they are asked for */
export type GgufValue = number | bigint | boolean | string | Texts | GgufValue[]

export interface GgufTensor {
  name: string
  /** as PyTorch has it: rows first */
  shape: readonly number[]
  type: GgmlType
  /** the file that it lies in */
  path: string
  /** of its first byte in the file */
  offset: number
  bytes: number
}

export interface GgufHeader {
  version: number
  metadata: ReadonlyMap<string, GgufValue>
  tensors: ReadonlyMap<string, GgufTensor>
}

/** Value types in the order of their ids; the least bytes each takes. */
const kinds = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const
const least = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8]
/** The largest vocabularies have half a million tokens and merges; a list takes more memory here than in the file. */
const longestList = 1 << 24

/** Errors: FORMAT_GGUF (what is wrong, where), FORMAT_GGUF_TYPE for a tensor type we don't have. */
export function parseGguf(file: Bytes, path: string): GgufHeader {
  const cursor = new Cursor(file, path)
  if (file.size < 24 || decodeMagic(cursor.bytes(4)) !== 'GGUF') throw bad(path, 'does not start with GGUF')
  const version = cursor.u32()
  if (version !== 2 && version !== 3) throw otherVersion(path, version)
  const tensorCount = count(cursor, 24, () => 'tensors')
  const valueCount = count(cursor, 13, () => 'metadata values')
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < valueCount; i++) {
    const key = string(cursor, 'a metadata key', 65535)
    if (metadata.has(key)) throw bad(path, `gives ${show(key)} twice`)
    metadata.set(key, value(cursor, kindOf(cursor, key), key, 0))
  }
  const found: GgufTensor[] = []
  for (let i = 0; i < tensorCount; i++) found.push(tensorInfo(cursor))
  const alignment = metadata.get('general.alignment') ?? 32
  if (typeof alignment !== 'number' || alignment < 8 || !Number.isInteger(Math.log2(alignment)))
    throw bad(path, `has the alignment ${alignment}`)
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment
  for (const tensor of found) tensor.offset += dataStart
  checkLayout(found, dataStart, alignment, file.size, path)
  const tensors = new Map(found.map((tensor) => [tensor.name, tensor]))
  if (tensors.size < found.length) throw bad(path, 'has two tensors of the same name')
  return { version, metadata, tensors }
}

const decodeMagic = (bytes: Uint8Array) => String.fromCharCode(...bytes)

/** A number of things that each take `size` bytes at the least. */
function count(cursor: Cursor, size: number, what: () => string): number {
  const n = cursor.u64()
  if (n > cursor.left / size) throw bad(cursor.path, `announces ${n} ${what()} at byte ${cursor.offset - 8}, more than it has room for`)
  return Number(n)
}

const bytesOf = (cursor: Cursor, what: string) => count(cursor, 1, () => `bytes of ${show(what)}`)

function string(cursor: Cursor, what: string, longest = Number.MAX_SAFE_INTEGER): string {
  const length = bytesOf(cursor, what)
  if (length > longest) throw bad(cursor.path, `has ${what} of ${length} bytes`)
  return cursor.text(length, () => show(what))
}

function kindOf(cursor: Cursor, key: string): number {
  const id = cursor.u32()
  if (id >= kinds.length) throw bad(cursor.path, `gives ${show(key)} the unknown value type ${id}`)
  return id
}

function value(cursor: Cursor, id: number, key: string, depth: number): GgufValue {
  const kind = kinds[id]!
  if (kind === 'string') return string(cursor, key)
  if (kind === 'bool') {
    const byte = cursor.u8()
    if (byte > 1) throw bad(cursor.path, `gives ${show(key)} the truth value ${byte}`)
    return byte === 1
  }
  if (kind !== 'array') return cursor[kind]()
  if (depth > 2) throw bad(cursor.path, `nests lists too deeply in ${show(key)}`)
  const element = kindOf(cursor, key)
  const length = count(cursor, least[element]!, () => `values of ${show(key)}`)
  if (length > longestList) throw bad(cursor.path, `has ${length} values in ${show(key)}`)
  if (kinds[element] === 'string')
    return cursor.texts(
      length,
      () => bytesOf(cursor, key),
      () => show(key),
    )
  const of = kinds[element]!
  if (isNumberKind(of)) return cursor.numbers(of, length)
  const list: GgufValue[] = []
  for (let i = 0; i < length; i++) list.push(value(cursor, element, key, depth + 1))
  return list
}

/** `offset` still counts from the first tensor byte. */
function tensorInfo(cursor: Cursor): GgufTensor {
  const { path } = cursor
  const name = string(cursor, 'a tensor name', 65535)
  const where = `tensor ${show(name)}`
  const dimensions = cursor.u32()
  if (dimensions < 1 || dimensions > 4) throw bad(path, `gives ${where} ${dimensions} dimensions`)
  const shape: number[] = []
  let size = 1
  for (let i = 0; i < dimensions; i++) {
    const n = cursor.u64()
    size *= Number(n)
    if (n === 0 || !Number.isSafeInteger(size)) throw bad(path, `gives ${where} a dimension of ${n}`)
    shape.unshift(Number(n))
  }
  const id = cursor.u32()
  const type = ggmlTypes.get(id)
  if (!type) {
    const names = [...ggmlTypes.values()].map((t) => t.name).join(', ')
    throw new SaqrError(
      'FORMAT_GGUF_TYPE',
      `${path}: ${where} is stored as ${otherTypes[id] ?? `type ${id}`}, which is not supported. Use a file in ${names}.`,
    )
  }
  const row = shape.at(-1)!
  if (row % type.block !== 0)
    throw bad(path, `gives ${where} rows of ${row}, no multiple of the ${type.block} weights in a block of ${type.name}`)
  const offset = cursor.u64()
  if (typeof offset !== 'number') throw bad(path, `puts ${where} at byte ${offset}`)
  return { name, shape, type, path, offset, bytes: (size / type.block) * type.bytes }
}

/** Aligned, one after the other with no more than padding between, and inside the file. */
function checkLayout(tensors: readonly GgufTensor[], dataStart: number, alignment: number, fileSize: number, path: string): void {
  let end = dataStart
  for (const { name, offset, bytes } of [...tensors].sort((a, b) => a.offset - b.offset)) {
    const where = `tensor ${show(name)}`
    if (offset % alignment !== 0) throw bad(path, `puts ${where} at byte ${offset}, no multiple of ${alignment}`)
    if (offset < end) throw bad(path, `lets ${where} overlap the one before it`)
    if (offset - end >= alignment) throw bad(path, `leaves a hole of ${offset - end} bytes before ${where}`)
    end = offset + bytes
    if (end > fileSize) throw bad(path, `has ${fileSize} bytes where ${where} ends at ${end}: it was cut short`)
  }
  if (fileSize - end >= alignment && tensors.length > 0) throw bad(path, `has ${fileSize - end} bytes after its last tensor`)
}

/** A version whose bytes stand the other way round is the one of a big-endian file. */
function otherVersion(path: string, version: number): SaqrError {
  const swapped = version > 255 && (version & 0xffffff) === 0
  if (version > 255 && !swapped) return bad(path, `has version ${version}; 2 and 3 are supported`)
  const what = swapped ? 'is big endian (made for machines like s390x); little endian is' : `has version ${version}; 2 and 3 are`
  return new SaqrError(
    'FORMAT_GGUF',
    `${path} is a GGUF file that ${what} supported. Convert the model to GGUF again, or use another file.`,
  )
}

function bad(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_GGUF', `${path} is not a sound GGUF file: it ${what}. Fetch it again.`)
}
