/** Dense values between a checkpoint's types and f32 on every core, whatever device the model is on: the bits of formats/numbers.ts. */
import { ggmlType } from '../../formats/gguf/types.ts'
import { asF32, bytesOf } from '../../formats/numbers.ts'
import { storedBytes } from '../../formats/stored.ts'
import type { CheckpointTensor } from '../../formats/tensor.ts'
import { fromBlocks } from './ggml-blocks.ts'

/** `t.load('f32', from, count)`, made where the system has the file if that holds bf16 or f16; in `room` where that is large enough. */
export function valuesOf(t: CheckpointTensor, from = 0, count = t.rows - from, room?: Float32Array): Float32Array {
  const length = count * t.cols
  const values = room && room.length >= length ? room.subarray(0, length) : new Float32Array(length)
  const stored = storedBytes(t)
  if (stored?.length === 1 && (t.dtype === 'bf16' || t.dtype === 'f16') && stored[0]!.bytes === 2 * t.rows * t.cols) {
    const { path, offset } = stored[0]!
    const source = { path, offset: offset + 2 * from * t.cols, bytes: 2 * length }
    if (fromBlocks.ofFile!(source, ggmlType(t.dtype.toUpperCase()), 'f32', bytesOf(values))) return values
  }
  return asF32(t.load('f32', from, count, bytesOf(values)))
}

/** f32ToBf16, into memory of that size where it is given */
export const asBf16 = (values: Float32Array, into?: Uint8Array): Uint8Array => fromBlocks(bytesOf(values), ggmlType('F32'), 'bf16', into)
