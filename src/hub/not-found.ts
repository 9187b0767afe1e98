/** A path that leads nowhere: what is missing, the folder that was looked in, and the name there that was most likely meant. */
import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, parse, relative, resolve } from 'node:path'
import { SaqrError } from '../error.ts'
import { distance, nearest } from './nearest.ts'

/** characters of a path that is said back whole */
const LONGEST = 1024

/** Undefined where nothing can be found: no such name, a file where a folder is needed, a name too long, a folder that may not be searched. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** @param path as the user wrote it */
export function notFound(path: string, options?: ErrorOptions): SaqrError {
  const text = path.includes('\n')
  if (text || path.length > LONGEST)
    return new SaqrError(
      'FORMAT_NOT_FOUND',
      `${JSON.stringify(`${path.slice(0, 60)}…`)} was taken for a path, and there is none of ${path.length.toLocaleString('en')} characters${text ? ' in several lines' : ''}: give the path of a file that holds it.`,
      options,
    )
  const { folder, missing, last } = firstMissing(resolve(path))
  const close = nearHere(path)
  const what = last ? missing : `folder ${missing}`
  const where = statOf(folder)?.isDirectory() ? folder : `${folder}, which is a file`
  return new SaqrError(
    'FORMAT_NOT_FOUND',
    `${path} does not exist: there is no ${what} in ${where}.${close === undefined ? '' : ` Did you mean ${close}?`}`,
    options,
  )
}

/** The path that exists and was most likely meant. */
export function nearHere(path: string): string | undefined {
  const { folder, missing, last } = firstMissing(resolve(path))
  const close = nearIn(folder, missing, last)
  return close === undefined ? undefined : shortPath(join(folder, close))
}

/** A path below the working folder as seen from there, any other as it is. */
export function shortPath(path: string): string {
  const below = relative('', path)
  return below !== '' && !below.startsWith('..') && below.length < path.length ? below : path
}

interface Missing {
  /** exists */
  folder: string
  /** name in it that does not */
  missing: string
  /** is it the end of the path? */
  last: boolean
}

function firstMissing(path: string): Missing {
  let missing = path
  while (dirname(missing) !== missing && statOf(dirname(missing)) === undefined) missing = dirname(missing)
  return { folder: dirname(missing), missing: basename(missing), last: missing === path }
}

/** Of a missing folder the nearest folder, else any name, first one that differs in its ending only; hidden ones only for hidden ones. */
function nearIn(folder: string, missing: string, last: boolean): string | undefined {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch {
    return undefined // a file, or a folder that may not be read
  }
  const names = entries
    .filter((entry) => (last || !entry.isFile()) && entry.name.startsWith('.') === missing.startsWith('.'))
    .map(({ name }) => name)
  const stem = parse(missing).name
  const close = names.find((name) => parse(name).name === stem) ?? nearest(missing, names)
  // equal endings make short names look alike
  return close !== undefined && distance(stem, parse(close).name) <= Math.max(1, stem.length / 3) ? close : undefined
}
