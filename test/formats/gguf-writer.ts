/** Writes GGUF files for tests, sound ones and others. */

export type Value = { type: number; value: unknown }
export interface Tensor {
  name: string
  /** as in the file: fastest first */
  dimensions: (number | bigint)[]
  type: number
  data: Uint8Array
  /** default: where it stands */
  offset?: number | bigint
}

export const u32 = (value: number): Value => ({ type: 4, value })
export const f32 = (value: number): Value => ({ type: 6, value })
export const bool = (value: boolean | number): Value => ({ type: 7, value })
export const text = (value: string | Uint8Array): Value => ({ type: 8, value })
export const u64 = (value: number | bigint): Value => ({ type: 10, value })
export const list = (of: number, value: unknown[]): Value => ({ type: 9, value: { of, value } })
export const texts = (value: string[]): Value => list(8, value)

const pack = (bytes: number, write: (b: Buffer) => void) => {
  const b = Buffer.alloc(bytes)
  write(b)
  return b
}
export const u32Bytes = (x: number) => pack(4, (b) => b.writeUInt32LE(x))
export const u64Bytes = (x: number | bigint) => pack(8, (b) => b.writeBigUInt64LE(BigInt.asUintN(64, BigInt(x))))
const stringBytes = (s: string | Uint8Array) => Buffer.concat([u64Bytes(Buffer.from(s).length), Buffer.from(s)])

function valueBytes(type: number, value: unknown): Buffer {
  if (type === 4) return u32Bytes(value as number)
  if (type === 5) return pack(4, (b) => b.writeInt32LE(value as number))
  if (type === 6) return pack(4, (b) => b.writeFloatLE(value as number))
  if (type === 7 || type === 0) return Buffer.from([Number(value)])
  if (type === 8) return stringBytes(value as string)
  if (type === 10) return u64Bytes(value as number)
  if (type !== 9) return Buffer.alloc(8) // of a type that nobody knows
  const { of, value: items } = value as { of: number; value: unknown[] }
  return Buffer.concat([u32Bytes(of), u64Bytes(items.length), ...items.map((item) => valueBytes(of, item))])
}

export interface GgufParts {
  metadata: Record<string, Value> | [string, Value][]
  tensors?: Tensor[]
  version?: number
  alignment?: number
  tensorCount?: number | bigint
  valueCount?: number | bigint
}

export function ggufBytes({ metadata, tensors = [], version = 3, alignment = 32, tensorCount, valueCount }: GgufParts): Buffer {
  const entries = Array.isArray(metadata) ? metadata : Object.entries(metadata)
  const padded = (n: number) => Math.ceil(n / alignment) * alignment
  let at = 0
  const infos = tensors.map(({ name, dimensions, type, data, offset }) => {
    const info = Buffer.concat([
      stringBytes(name),
      u32Bytes(dimensions.length),
      ...dimensions.map(u64Bytes),
      u32Bytes(type),
      u64Bytes(offset ?? at),
    ])
    at += padded(data.length)
    return info
  })
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32Bytes(version),
    u64Bytes(tensorCount ?? tensors.length),
    u64Bytes(valueCount ?? entries.length),
    ...entries.map(([key, { type, value }]) => Buffer.concat([stringBytes(key), u32Bytes(type), valueBytes(type, value)])),
    ...infos,
  ])
  const body = tensors.map(({ data }) => Buffer.concat([data, Buffer.alloc(padded(data.length) - data.length)]))
  return Buffer.concat([header, Buffer.alloc(tensors.length > 0 ? padded(header.length) - header.length : 0), ...body])
}

/** The least metadata a Llama needs. */
export const llama: Record<string, Value> = {
  'general.architecture': text('llama'),
  'llama.block_count': u32(1),
  'llama.context_length': u32(128),
  'llama.embedding_length': u32(64),
  'llama.feed_forward_length': u32(96),
  'llama.attention.head_count': u32(4),
  'llama.attention.head_count_kv': u32(2),
  'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
  'llama.vocab_size': u32(10),
}
