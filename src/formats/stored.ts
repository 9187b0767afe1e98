/**
 * Which bytes of which files make a tensor's values, in whatever form. Known by the function that makes the values: a tensor that is renamed
 * keeps both, one that gives other values has another function, and with it none of the bytes.
 */
import type { StoredTensor } from './dense.ts'
import type { CheckpointTensor } from './tensor.ts'

export type StoredBytes = Pick<StoredTensor, 'path' | 'offset' | 'bytes'>

const known = new WeakMap<CheckpointTensor['load'], () => readonly StoredBytes[] | undefined>()

/** @param bytes asked for when they are read: a file that is written anew has them elsewhere */
export function madeOf(tensor: CheckpointTensor, bytes: () => readonly StoredBytes[] | undefined): CheckpointTensor {
  known.set(tensor.load, bytes)
  return tensor
}

/** undefined: its values are computed, of other tensors too */
export const storedBytes = ({ load }: CheckpointTensor): readonly StoredBytes[] | undefined => known.get(load)?.()

/** of several together; undefined where one's are computed */
export function storedBytesOf(tensors: readonly CheckpointTensor[]): readonly StoredBytes[] | undefined {
  const all = tensors.map(storedBytes)
  return all.every((bytes) => bytes !== undefined) ? all.flat() : undefined
}
