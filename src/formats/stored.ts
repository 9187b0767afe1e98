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

/** What files are, by their paths: size, when they were written to, and which file each is. */
export type FileStates = ReadonlyMap<string, { size: bigint; is: string }>

/** By a tensor's function: the files that its checkpoint's bytes are in, as they were when it was opened. */
const opened = new WeakMap<CheckpointTensor['load'], FileStates>()

/** Remembers what the files are in which tensors lie. */
export function rememberFiles(tensors: Iterable<CheckpointTensor>): void {
  const files = new Map<string, ReturnType<typeof stateOf>>()
  for (const tensor of tensors) {
    for (const { path } of storedBytes(tensor) ?? []) if (!files.has(path)) files.set(path, stateOf(path))
    opened.set(tensor.load, files)
  }
}

function openedFiles(tensors: Iterable<CheckpointTensor>): FileStates {
  const files = new Set<FileStates>()
  for (const { load } of tensors) {
    const held = opened.get(load)
    if (held) files.add(held)
  }
  return new Map([...files].flatMap((held) => [...held]))
}

/** @throws SaqrError FORMAT_CHANGED where a file of one is another than when it was opened */
export function requireAsOpened(tensors: Iterable<CheckpointTensor>): void {
  for (const [path, { is }] of openedFiles(tensors))
    if (stateOf(path).is !== is)
      throw new SaqrError(
        'FORMAT_CHANGED',
        `${path} was written to or replaced since it was opened. Leave a base as it is while it is trained over, and open it anew.`,
      )
}

/** The files of tensors as they are now, where some were written to or replaced, by others of their size; null: none was, or they have other sizes. @throws SaqrError FORMAT_… */
export function touchedFiles(tensors: Iterable<CheckpointTensor>): FileStates | null {
  const then = openedFiles(tensors)
  const now = new Map([...then.keys()].map((path) => [path, stateOf(path)]))
  const changed = [...then].filter(([path, { is }]) => now.get(path)!.is !== is)
  return changed.length > 0 && changed.every(([path, { size }]) => now.get(path)!.size === size) ? now : null
}

/** From here on these count as opened. */
export function takeFiles(tensors: Iterable<CheckpointTensor>, files: FileStates): void {
  for (const { load } of tensors) if (opened.has(load)) opened.set(load, files)
}

function stateOf(path: string): { size: bigint; is: string } {
  try {
    const { size, mtimeNs, ino } = statSync(path, { bigint: true })
    return { size, is: `${size} ${mtimeNs} ${ino}` }
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}
