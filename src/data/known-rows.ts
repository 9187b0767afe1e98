/**
 * Files whose rows were prepared before: how many rows they hold and what tells them from others stands in a small file, named by a hash of their bytes,
 * beside the prepared rows. At the next start nothing is parsed but where somebody asks for a row.
 */
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isFile, writeFileAtomic } from '../formats/files.ts'
import { isObject } from '../formats/json.ts'
import { preparedRowsFolder } from '../hub/places.ts'
import { readRowsOf } from './files.ts'
import { madeBy } from './made-by.ts'
import type { RowDigest } from './row-digest.ts'
import type { Rows } from './rows.ts'

export const KNOWN = '.known'
/** bytes of a file: below, parsing is as fast; above, it does not lie in memory as a whole */
const [LEAST, MOST] = [1 << 20, 2 ** 28]

/** A file as it was when it was hashed. */
export interface Origin {
  /** of its name, its bytes and saqr's code */
  key: string
  /** null: its rows are not known yet */
  known: Known | null
  /** the file is still the same */
  isUnchanged(): boolean
}

/** Rows that are read once somebody asks for one. */
export interface Known extends RowDigest {
  rows: number
  columns: string[]
  read(): Rows
}

/** null: too small or too large, or rows that aren't read from text as it lies there. */
export function originOf(path: string): Origin | null {
  if (!/\.(json|jsonl|ndjson)$/i.test(path) || !isFile(path)) return null
  const told = () => {
    const { size, mtimeMs, ino } = statSync(path)
    return { size, is: `${size} ${mtimeMs} ${ino}` }
  }
  const before = told()
  if (before.size < LEAST || before.size > MOST) return null
  const bytes = readFileSync(path)
  const key = createHash('sha256')
    .update(JSON.stringify([madeBy(), path]))
    .update(bytes)
    .digest('hex')
  const found = knownOf(key)
  return { key, known: found && { ...found, read: () => readRowsOf(bytes, path) }, isUnchanged: () => told().is === before.is }
}

export const placeOfKnown = (key: string) => join(preparedRowsFolder(), key + KNOWN)

function knownOf(key: string): Omit<Known, 'read'> | null {
  try {
    const known: unknown = JSON.parse(readFileSync(placeOfKnown(key), 'utf8'))
    if (!isObject(known)) return null
    const { rows, columns, digest, characters } = known
    const sound =
      Number.isSafeInteger(rows) &&
      typeof digest === 'string' &&
      typeof characters === 'number' &&
      Array.isArray(columns) &&
      columns.every((column) => typeof column === 'string')
    return sound ? ({ rows, columns, digest, characters } as Omit<Known, 'read'>) : null
  } catch {
    return null // there is none, or it is damaged: the file is parsed
  }
}

/** @throws SaqrError FORMAT_… */
export function keepKnown(key: string, known: Omit<Known, 'read'>): void {
  writeFileAtomic(placeOfKnown(key), JSON.stringify(known))
}
