/**
 * A model in several GGUF files, as llama.cpp parts it: NAME-00001-of-00003.gguf and so on, the first with all metadata, each with its number
 * (`split.no`, from 0), how many there are (`split.count`) and all tensors' count (`split.tensors.count`); saqr's also with an id that all parts
 * of one writing have (`saqr.split.id`), as two models of one shape have parts of the same names, numbers and tensors.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { PART, partPaths, siblings } from '../../hub/gguf-parts.ts'
import { isFile } from '../files.ts'
import type { GgufHeader, GgufTensor } from './header.ts'
import {
  type Entries,
  type GgufTensorHeader,
  type GgufTensorToWrite,
  headerBytes,
  i32,
  tensorBytes,
  text,
  u16,
  writeGguf,
} from './write.ts'

/** Files of this name in whatever number of parts, and in one. */
export function filesOf(path: string): string[] {
  const folder = dirname(path)
  const stem = basename(path).replace(/\.gguf$/i, '')
  const found = isFile(path) ? [path] : []
  try {
    return [...found, ...readdirSync(folder).filter((name) => PART.exec(name)?.[1] === stem).map((name) => join(folder, name))] // biome-ignore format: one list
  } catch {
    return found // no such folder
  }
}

/** What is left of this name beside these files, all in its folder: of an older model in another number of parts. */
export function sweepParts(path: string, kept: readonly string[]): void {
  const names = new Set(kept.map((file) => basename(file))) // one folder has many spellings
  for (const file of filesOf(path)) if (!names.has(basename(file))) rmSync(file)
}

/** Tensors in their order, in groups of at most so many bytes where they hold more than one. */
export function groupsOf<T extends GgufTensorHeader>(tensors: readonly T[], most: number): T[][] {
  const groups: T[][] = [[]]
  let filled = 0
  for (const tensor of tensors) {
    const bytes = Math.ceil(tensorBytes(tensor) / 32) * 32
    if (filled > 0 && filled + bytes > most) {
      groups.push([])
      filled = 0
    }
    groups.at(-1)!.push(tensor)
    filled += bytes
  }
  return groups
}

const ID = 'saqr.split.id'

/** of files in so many parts: what says that they are one model's */
export const idOfParts = (count: number): Entries => (count === 1 ? {} : { [ID]: text(randomUUID()) })

/** what a part has beside its tensors */
export function partEntries(metadata: Entries, part: number, count: number, tensors: number): Entries {
  if (count === 1) return metadata
  const common: Entries = ID in metadata ? { [ID]: metadata[ID]! } : {}
  const numbers = { 'split.no': u16(part), 'split.count': u16(count), 'split.tensors.count': i32(tensors) }
  return { ...(part === 0 ? metadata : common), ...numbers }
}

/**
 * In one file, or in parts beside one another.
 * @param done is told how many bytes of all are written, and waited for, after each part of a tensor
 * @returns bytes of all. @throws SaqrError as `writeGguf`, OPTION_INVALID for more parts than a name can number
 */
export async function writeParts(
  path: string,
  metadata: Entries,
  groups: readonly (readonly Omit<GgufTensorToWrite, 'values'>[])[],
  done?: (bytes: number) => Promise<void> | void,
): Promise<number> {
  const all = groups.reduce((n, group) => n + group.length, 0)
  let bytes = 0
  for (const [i, file] of partPaths(path, groups.length).entries()) {
    const before = bytes
    bytes += await writeGguf(file, partEntries(metadata, i, groups.length, all), groups[i]!, (here) => done?.(before + here))
  }
  return bytes
}

/** The header of the first part with what is found of it anew, of the length that it had. */
export function firstHeader(metadata: Entries, groups: readonly (readonly GgufTensorHeader[])[]): Uint8Array {
  const all = groups.reduce((n, group) => n + group.length, 0)
  return headerBytes(partEntries(metadata, 0, groups.length, all), groups[0]!)
}

/**
 * The tensors of all parts under the header of the first; of a file that is no part, itself.
 * @param read a part's header
 * @throws SaqrError FORMAT_GGUF for a part that isn't the first, or parts of different models; FORMAT_SHARD_MISSING
 */
export function joinParts(path: string, first: GgufHeader, read: (path: string) => GgufHeader): GgufHeader {
  const count = first.metadata.get('split.count') ?? 1
  if (count === 1) return first
  const paths = siblings(path)
  if (typeof count !== 'number' || paths.length !== count)
    throw bad(path, `says that it is one of ${count} parts, and its name doesn't: the first is named like NAME-00001-of-00003.gguf`)
  if (first.metadata.get('split.no') !== 0) throw bad(path, `is one part of a model: name the first, ${basename(paths[0]!)}`)
  const missing = paths.filter((part) => !isFile(part))
  if (missing.length > 0)
    throw new SaqrError(
      'FORMAT_SHARD_MISSING',
      `${path} is one of ${count} files, and ${missing.length} of them are not there: ${missing
        .slice(0, 4)
        .map((part) => basename(part))
        .join(', ')}${missing.length > 4 ? ' …' : ''}. Fetch them into the same folder.`,
    )
  const tensors = new Map<string, GgufTensor>(first.tensors)
  for (const [i, part] of paths.entries()) {
    if (i === 0) continue
    const header = read(part)
    if (header.metadata.get('split.no') !== i || header.metadata.get('split.count') !== count)
      throw bad(part, `is not part ${i + 1} of ${count}, as its name says: the parts are of different models. Fetch them again`)
    // llama-gguf-split gives what it parts anew the metadata of before in the first part alone: an id that a part lacks says nothing
    const id = header.metadata.get(ID)
    if (id !== undefined && id !== first.metadata.get(ID))
      throw bad(part, `was not written with ${basename(path)}: the parts are of different models. Export or fetch them again`)
    for (const [name, tensor] of header.tensors) {
      if (tensors.has(name))
        throw bad(part, `has ${name}, which an earlier part has too: the parts are of different models. Fetch them again`)
      tensors.set(name, tensor)
    }
  }
  const wanted = first.metadata.get('split.tensors.count')
  if (wanted !== undefined && wanted !== tensors.size)
    throw bad(
      path,
      `and its parts have ${tensors.size} tensors, and should have ${wanted}: the parts are of different models. Fetch them again`,
    )
  return { ...first, tensors }
}

const bad = (path: string, what: string) => new SaqrError('FORMAT_GGUF', `${path} ${what}.`)
