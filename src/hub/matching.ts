/** Files that a pattern names: `rows/*.jsonl`, `rows/part-[0-9]?.csv`, `rows/**` (folders within folders). */
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SaqrError } from '../error.ts'
import { exists, isFolder } from './files.ts'
import { globMatcher } from './glob.ts'
import { notFound } from './not-found.ts'
import { homeFolder } from './places.ts'

const wild = /[*?]|\[[^\]/]+\]/

/** Is it a pattern of paths? What is there by that very name is none. */
export const isPattern = (path: string): boolean => wild.test(path) && !exists(path)

/**
 * In order of their paths; hidden ones only where the pattern begins a name with a point, as `datasets` has it.
 * @param wanted of those that match, which are meant
 * @throws SaqrError FORMAT_NOT_FOUND where there are none
 */
export function matching(pattern: string, wanted: (path: string) => boolean = () => true): string[] {
  const parts = (pattern.startsWith('~/') ? join(homeFolder(), pattern.slice(2)) : pattern).replaceAll('\\', '/').split('/')
  const first = parts.findIndex((part) => wild.test(part))
  const folder = resolve(parts.slice(0, first).join('/') || (first > 0 ? '/' : '.'))
  if (!isFolder(folder)) throw notFound(folder)
  const all = [...new Set(below(folder, parts.slice(first)))].sort()
  const found = all.filter(wanted)
  if (found.length > 0) return found
  const but = all.length > 0 ? ` that can be read: it matches ${all.slice(0, 5).join(', ')}${all.length > 5 ? ' …' : ''}` : ''
  throw new SaqrError('FORMAT_NOT_FOUND', `${pattern} matches no file in ${folder}${but}.`)
}

function* below(folder: string, [part, ...rest]: readonly string[]): Generator<string> {
  if (part === undefined) return
  const across = part === '**'
  if (across && rest.length > 0) yield* below(folder, rest)
  const fits = across ? () => true : globMatcher(part)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const { name } = entry
    if (!fits(name) || name.startsWith('.') !== part.startsWith('.')) continue
    const path = join(folder, name)
    const within = isFolder(path)
    if (within && across && !entry.isSymbolicLink()) yield* below(path, [part, ...rest])
    else if (within && !across) yield* below(path, rest)
    else if (!within && rest.length === 0) yield path
  }
}
