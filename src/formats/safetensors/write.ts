/**
 * Writes safetensors as the Rust library does, byte for byte: tensors by falling element type, then by name; the header compact
 * and padded to 8. One tensor's chunk is in memory while another is written; the file appears under its name when it is whole.
 */
import { SaqrError } from '../../error.ts'
import { type AtomicFile, openAtomic } from '../files.ts'
import { compareCodePoints, show } from '../json.ts'
import { maxHeaderBytes, tensorBytes } from './header.ts'

export interface TensorToWrite {
  name: string
  /** 'F32', 'BF16', 'F16', 'U8', 'I32' … */
  dtype: string
  shape: readonly number[]
  /** its bytes, or chunks of them made one after the other when its turn comes: each holds until the one after the next is asked for */
  data: Uint8Array | (() => Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>)
}

/** Element types in the order that the Rust library sorts them (widest last). */
const order =
  'BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64'.split(' ')

/**
 * `metadata` is written in the order given; Python writes `{ format: 'pt' }`. Returns the bytes written.
 * Errors: FORMAT_SAFETENSORS_WRITE for tensors that don't fit what is said of them, those of `openAtomic`. On any of them the old file stays.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): Promise<number> {
  const sorted = [...tensors].sort((a, b) => order.indexOf(b.dtype) - order.indexOf(a.dtype) || compareCodePoints(a.name, b.name))
  const { header, bytes } = makeHeader(path, sorted, metadata)
  const file = openAtomic(path)
  try {
    file.write(header)
    for (const tensor of sorted) await writeTensor(file, tensor, path)
    await file.settled()
    file.commit()
  } catch (error) {
    await file.settled().catch(() => {}) // the first failure is the one to tell
    file.abandon()
    throw error
  }
  return header.length + bytes
}

function makeHeader(path: string, tensors: readonly TensorToWrite[], metadata?: Readonly<Record<string, string>>) {
  const fields: string[] = []
  if (metadata && Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`)
  const names = new Set(['__metadata__', '__proto__'])
  let at = 0
  for (const { name, dtype, shape } of tensors) {
    if (names.has(name)) throw badTensor(path, name, names.size > 2 ? 'is given twice' : 'has a name that may not be used')
    names.add(name)
    const size = tensorBytes(dtype, shape)
    if (size === undefined) throw badTensor(path, name, `has a type or shape that can't be written: ${dtype} × [${shape.join(', ')}]`)
    fields.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${at},${at + size}]}`)
    at += size
  }
  const json = Buffer.from(`{${fields.join(',')}}`)
  const length = Math.ceil(json.length / 8) * 8
  if (length > maxHeaderBytes)
    throw new SaqrError(
      'FORMAT_SAFETENSORS_WRITE',
      `${path}: ${tensors.length} tensors make a header above ${maxHeaderBytes} bytes. Split them over several files.`,
    )
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length))
  json.copy(header, 8)
  return { header, bytes: at }
}

async function writeTensor(file: AtomicFile, tensor: TensorToWrite, path: string): Promise<void> {
  const given = typeof tensor.data === 'function' ? tensor.data() : tensor.data
  let bytes = 0
  for await (const chunk of given instanceof Uint8Array ? [given] : given) {
    bytes += chunk.length
    await file.writeBehind(chunk)
  }
  const size = tensorBytes(tensor.dtype, tensor.shape)
  if (bytes !== size)
    throw badTensor(path, tensor.name, `gave ${bytes} bytes where ${tensor.dtype} × [${tensor.shape.join(', ')}] takes ${size}`)
}

function badTensor(path: string, name: string, what: string): SaqrError {
  return new SaqrError('FORMAT_SAFETENSORS_WRITE', `${path} was not written: tensor ${show(name)} ${what}.`)
}
