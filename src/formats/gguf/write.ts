/**
 * Writes a GGUF file (version 3, little endian, aligned to 32): header, then one tensor after the other, a part in memory while another is
 * written. The file appears under its name when it is whole.
 */
import { SaqrError } from '../../error.ts'
import { type AtomicFile, openAtomic } from '../files.ts'
import { show } from '../json.ts'
import { notUnicode, Texts } from '../texts.ts'
import type { GgufHeader, GgufTensor, GgufValue } from './header.ts'
import type { GgmlType } from './types.ts'

export type Entry =
  | { kind: 'u16' | 'u32' | 'i32' | 'f32'; value: number }
  | { kind: 'bool'; value: boolean }
  | { kind: 'string'; value: string }
  | { kind: 'strings'; value: readonly string[] }
  | { kind: 'i32s' | 'f32s'; value: readonly number[] }
export type Entries = Readonly<Record<string, Entry>>

export const u16 = (value: number): Entry => ({ kind: 'u16', value })
export const i32 = (value: number): Entry => ({ kind: 'i32', value })
export const u32 = (value: number): Entry => ({ kind: 'u32', value })
export const f32 = (value: number): Entry => ({ kind: 'f32', value })
export const bool = (value: boolean): Entry => ({ kind: 'bool', value })
export const text = (value: string): Entry => ({ kind: 'string', value })

/** ids of value types */
const ID = { u16: 2, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 }
const ALIGNMENT = 32

export interface GgufTensorToWrite {
  name: string
  /** rows first */
  shape: readonly number[]
  type: GgmlType
  /** its weights as they are before they are rounded, in parts of whole rows */
  values: () => Iterable<Float32Array>
  /** its bytes, of the same parts, made when its turn comes: each holds until the one after the next is asked for */
  data: () => Iterable<Uint8Array>
}

const count = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)
const padded = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
export const tensorBytes = ({ shape, type }: Pick<GgufTensorToWrite, 'shape' | 'type'>): number => (count(shape) / type.block) * type.bytes

/** What is written, without how its bytes are made. */
export type GgufTensorHeader = Omit<GgufTensorToWrite, 'data' | 'values'>

/**
 * @param done is told how many bytes are written, and waited for, after each part; what it throws ends the writing
 * @returns the file's bytes
 * @throws SaqrError EXPORT_TENSOR for one that is of another size than it says; those of `openAtomic`. On any of them an older file stays
 */
export async function writeGguf(
  path: string,
  metadata: Entries,
  tensors: readonly Omit<GgufTensorToWrite, 'values'>[],
  done?: (bytes: number) => Promise<void> | void,
): Promise<number> {
  const file = openAtomic(path)
  try {
    const header = headerBytes(metadata, tensors)
    file.write(header)
    let bytes = header.length
    for (const tensor of tensors) {
      for (const part of partsOf(tensor, path)) {
        await file.writeBehind(part)
        bytes += part.length
        await done?.(bytes)
      }
      bytes += await pad(file, bytes)
    }
    await file.settled()
    file.commit()
    return bytes
  } catch (error) {
    await file.settled().catch(() => {}) // the first failure is the one to tell
    file.abandon()
    throw error
  }
}

function* partsOf(tensor: Omit<GgufTensorToWrite, 'values'>, path: string): Generator<Uint8Array> {
  let bytes = 0
  for (const part of tensor.data()) {
    bytes += part.length
    yield part
  }
  if (bytes !== tensorBytes(tensor))
    throw new SaqrError(
      'EXPORT_TENSOR',
      `${path} was not written: ${show(tensor.name)} gave ${bytes} bytes where ${tensorBytes(tensor)} were announced`,
    )
}

async function pad(file: AtomicFile, bytes: number): Promise<number> {
  const missing = padded(bytes) - bytes
  if (missing > 0) await file.writeBehind(new Uint8Array(missing))
  return missing
}

/** With its padding: tensors begin where it ends. Numbers of the same keys and kinds make a header of the same length. */
export function headerBytes(metadata: Entries, tensors: readonly GgufTensorHeader[]): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from('GGUF'), int(3), long(tensors.length), long(Object.keys(metadata).length)]
  for (const [key, entry] of Object.entries(metadata)) parts.push(string(key), ...entryBytes(entry))
  let at = 0
  for (const tensor of tensors) {
    parts.push(string(tensor.name), int(tensor.shape.length), ...[...tensor.shape].reverse().map(long), int(tensor.type.id), long(at))
    at = padded(at + tensorBytes(tensor))
  }
  const length = parts.reduce((n, part) => n + part.length, 0)
  return Buffer.concat([...parts, new Uint8Array(padded(length) - length)])
}

function entryBytes({ kind, value }: Entry): Uint8Array[] {
  if (kind === 'string') return [int(ID.string), string(value)]
  // as one part: hundreds of thousands of merges are more than arguments of a call may be
  if (kind === 'strings') return [int(ID.array), int(ID.string), long(value.length), Buffer.concat(value.map(string))]
  if (kind === 'bool') return [int(ID.bool), Uint8Array.of(Number(value))]
  if (kind === 'i32s' || kind === 'f32s') {
    const list = kind === 'i32s' ? Int32Array.from(value) : Float32Array.from(value)
    return [int(ID.array), int(kind === 'i32s' ? ID.i32 : ID.f32), long(value.length), new Uint8Array(list.buffer)]
  }
  const number = value as number
  if (kind === 'u16') return [int(ID.u16), new Uint8Array(Uint16Array.of(number).buffer)]
  return [int(ID[kind]), kind === 'f32' ? new Uint8Array(Float32Array.of(number).buffer) : int(number)]
}

function int(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return bytes
}
function long(value: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
function string(value: string): Uint8Array {
  const bytes = Buffer.from(value)
  return Buffer.concat([long(bytes.length), bytes])
}

/** What reading a file with this header would give: its configuration is looked at before anything is written. */
export function headerOf(metadata: Entries, tensors: readonly GgufTensorHeader[]): GgufHeader {
  const value = (key: string, { kind, value }: Entry): GgufValue => {
    if (kind === 'strings') return Texts.of(value, (i) => notUnicode(`${key}[${i}] is ${show(value[i])}, which`))
    return kind === 'f32' ? Math.fround(value) : typeof value === 'object' ? [...value] : value
  }
  return {
    version: 3,
    metadata: new Map(Object.entries(metadata).map(([key, entry]) => [key, value(key, entry)])),
    tensors: new Map(
      tensors.map(({ name, shape, type }): [string, GgufTensor] => [
        name,
        { name, shape, type, path: '', offset: 0, bytes: tensorBytes({ shape, type }) },
      ]),
    ),
  }
}
