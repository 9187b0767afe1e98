/** Files that a pattern names: `rows/*.jsonl`, `rows/part-[0-9]?.csv`, `rows/**` (folders within folders). */
import { type Dirent, readdirSync } from 'node:fs'
import path, { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { fileError, isFile, isFolder } from './files.ts'
import { globMatcher, wild } from './glob.ts'
import { notFound, statOf } from './not-found.ts'
import { homed } from './places.ts'

/** Beside rows, what describes them: `datasets` finds these only by their own names (FILES_TO_IGNORE). */
const NO_ROWS = new Set(['README.md', 'config.json', 'dataset_info.json', 'dataset_infos.json', 'dummy_data.zip', 'dataset_dict.json'])

/** Is it a pattern of paths? What is there by that very name is none. */
export const isPattern = (name: string): boolean => wild.test(name) && statOf(homed(name)) === undefined

/**
 * In order of their paths, as `datasets` finds them: hidden ones, and folders that begin with `__`, only where the pattern begins a name so; of what
 * describes rows only what it names; no linked folders that it doesn't name before its first wild part.
 * @param wanted of those that match, which are meant
 * @throws SaqrError FORMAT_NOT_FOUND where there are none; FORMAT_PERMISSION, FORMAT_FILE: the folder that can't be read; OPTION_INVALID for `**` within a name
 */
export function matching(pattern: string, wanted: (path: string) => boolean = () => true): string[] {
  const parts = homed(pattern).replaceAll('\\', '/').replace(/\/+$/, '').split('/')
  const first = parts.findIndex((part) => wild.test(part))
  for (const part of parts.slice(first))
    if (part !== '**' && part.includes('**'))
      throw new SaqrError(
        'OPTION_INVALID',
        `${pattern}: ** stands for folders within folders and not within a name: write **/${part.replace(/\*{2,}/g, '*')} in place of ${part}.`,
      )
  const folder = folderOf(parts.slice(0, first))
  if (!isFolder(folder) && statOf(folder) === undefined) throw notFound(folder)
  const all = [...new Set(below(folder, parts.slice(first)))].sort()
  const found = all.filter(wanted)
  if (found.length > 0) return found
  const but = all.length > 0 ? ` that can be read: it matches ${all.slice(0, 5).join(', ')}${all.length > 5 ? ' …' : ''}` : ''
  const instead = but
    ? 'Name files of rows.'
    : 'Look at its names: * and ? stand for what is within a name, ** for folders within folders, and hidden files are found where a pattern begins their names with a point.'
  throw new SaqrError('FORMAT_NOT_FOUND', `${pattern} matches no file in ${folder}${but}. ${instead}`)
}

/** Of a drive alone its root: `C:` would be the folder that the process works in there. */
export const folderOf = (parts: readonly string[], { resolve }: Pick<path.PlatformPath, 'resolve'> = path): string =>
  resolve(parts.length > 0 ? `${parts.join('/')}/` : '.')

/** @throws SaqrError FORMAT_PERMISSION, FORMAT_FILE */
function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (cause) {
    throw fileError(cause, folder, 'read')
  }
}

function* below(folder: string, [part, ...rest]: readonly string[]): Generator<string> {
  if (part === undefined) return
  const across = part === '**'
  if (across && rest.length > 0) yield* below(folder, rest)
  const fits = across ? () => true : globMatcher(part)
  const unasked = (name: string, mark: string) => name.startsWith(mark) !== part.startsWith(mark)
  for (const entry of entriesOf(folder)) {
    const { name } = entry
    if (!fits(name) || unasked(name, '.')) continue
    const whole = join(folder, name)
    if (entry.isDirectory()) {
      if (!unasked(name, '__')) yield* below(whole, across ? [part, ...rest] : rest)
    } else if (rest.length === 0 && isFile(whole) && (name === part || !NO_ROWS.has(name))) yield whole
  }
}
