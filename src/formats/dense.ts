/** A dense tensor in a file as a CheckpointTensor: mapped where its elements are aligned, converted row by row on request. */
import { SaqrError } from '../error.ts'
import { readRange } from './files.ts'
import { asF32, asU16, bf16ToF32, bytesOf, f16ToF32, f32ToBf16 } from './numbers.ts'
import { madeOf } from './stored.ts'
import type { CheckpointTensor, TensorDType } from './tensor.ts'

interface DenseType {
  dtype: TensorDType
  width: number
}

/** By safetensors' names. */
const dense: Readonly<Record<string, DenseType>> = {
  F32: { dtype: 'f32', width: 4 },
  BF16: { dtype: 'bf16', width: 2 },
  F16: { dtype: 'f16', width: 2 },
  I32: { dtype: 'i32', width: 4 },
  U8: { dtype: 'u8', width: 1 },
}

export interface StoredTensor {
  name: string
  shape: readonly number[]
  /** safetensors name of the element type */
  storage: string
  path: string
  /** moves where its file is written anew */
  offset: number
  bytes: number
}

/** n -> 1 × n; (… a, b, c) -> (…a·b) × c, matrices below one another; a scalar is 1 × 1. */
export function matrixShape(shape: readonly number[]): { rows: number; cols: number } {
  if (shape.length < 2) return { rows: 1, cols: shape[0] ?? 1 }
  return { rows: shape.slice(0, -1).reduce((a, b) => a * b, 1), cols: shape.at(-1)! }
}

export function denseTensor(stored: StoredTensor): CheckpointTensor {
  const { name, shape, storage, path, offset, bytes } = stored
  const { rows, cols } = matrixShape(shape)
  const type = dense[storage]
  const tensor: CheckpointTensor = {
    name,
    shape,
    rows,
    cols,
    dtype: type?.dtype ?? storage,
    storage,
    bytes,
    source: type && offset % type.width === 0 ? { kind: 'file', path, offset } : undefined,
    load(dtype, from = 0, count = rows - from, into?: Uint8Array) {
      checkRows(name, rows, from, count)
      if (!type || type.dtype === 'i32' || type.dtype === 'u8') throw noWeight(name, storage, path)
      const own = type.dtype === dtype ? into : undefined
      return convert(readRange(path, stored.offset + from * cols * type.width, count * cols * type.width, own), type.dtype, dtype)
    },
  }
  return madeOf(tensor, () => [stored])
}

/** Bytes of one float type as another: exact up to f32, rounded once down to bf16. */
export function convert(bytes: Uint8Array, from: TensorDType, to: 'f32' | 'bf16'): Uint8Array {
  if (from === to) return bytes
  if (from === 'f32') return bytesOf(f32ToBf16(asF32(bytes)))
  const values = from === 'bf16' ? bf16ToF32(asU16(bytes)) : f16ToF32(asU16(bytes))
  return bytesOf(to === 'f32' ? values : f32ToBf16(values))
}

export function checkRows(name: string, rows: number, from: number, count: number): void {
  if (from < 0 || count < 0 || from + count > rows) throw new RangeError(`rows ${from} to ${from + count} of ${name}, which has ${rows}`)
}

function noWeight(name: string, storage: string, path: string): SaqrError {
  return new SaqrError(
    'FORMAT_DTYPE',
    `${path}: ${name} is stored as ${storage}, which can't be used as a weight. Supported are F32, BF16, F16 and bitsandbytes NF4; save the model in one of them.`,
  )
}
