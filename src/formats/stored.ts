/**
 * Which bytes of which files make a tensor's values, in whatever form. Known by the function that makes the values: a tensor that is renamed
 * keeps both, one that gives other values has another function, and with it none of the bytes.
 */
import { statSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import type { StoredTensor } from './dense.ts'
import { fileError } from './files.ts'
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

/** By a tensor's function: which files its bytes are in, and what each was when the checkpoint was opened. */
const opened = new WeakMap<CheckpointTensor['load'], ReadonlyMap<string, string>>()

/** Remembers what the files are in which tensors lie. */
export function rememberFiles(tensors: Iterable<CheckpointTensor>): void {
  const files = new Map<string, string>()
  for (const tensor of tensors) {
    for (const { path } of storedBytes(tensor) ?? []) if (!files.has(path)) files.set(path, stateOf(path))
    opened.set(tensor.load, files)
  }
}

/** @throws SaqrError FORMAT_CHANGED where a file of one is another than when it was opened */
export function requireAsOpened(tensors: Iterable<CheckpointTensor>): void {
  const files = new Set<ReadonlyMap<string, string>>()
  for (const { load } of tensors) {
    const held = opened.get(load)
    if (held) files.add(held)
  }
  for (const [path, state] of [...files].flatMap((held) => [...held]))
    if (stateOf(path) !== state)
      throw new SaqrError(
        'FORMAT_CHANGED',
        `${path} was written to or replaced since it was opened. Leave a base as it is while it is trained over, and open it anew.`,
      )
}

/** Its size, when it was written to, and which file it is. */
function stateOf(path: string): string {
  try {
    const { size, mtimeNs, ino } = statSync(path, { bigint: true })
    return `${size} ${mtimeNs} ${ino}`
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}
