/**
 * Prepared rows kept on disk: the same rows, tokenizer and options find them at the next start. Files are named by a hash of all that makes
 * them; what is damaged is made anew. When there are too many, those not used for longest go.
 */
import { createHash } from 'node:crypto'
import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { makeFolder } from '../hub/files.ts'
import { preparedRowsFolder } from '../hub/places.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Dataset } from './dataset.ts'
import { KNOWN, keepKnown, placeOfKnown } from './known-rows.ts'
import { madeBy } from './made-by.ts'
import type { Prepared } from './prepare.ts'
import { readPrepared, writePrepared } from './prepared-file.ts'
import { digestRows } from './row-digest.ts'

/** fewer characters than these are not worth a file */
const LEAST = 1 << 17
/** bytes that are kept in all */
const MOST = 10 * 2 ** 30
const END = '.rows'
export const ANEW = 'rows that stay on disk are prepared anew at each start'

export interface CacheRequest {
  dataset: Dataset
  tokenizer: Tokenizer
  /** by whom and with which options, whole */
  how: string
  /** the day that templates are told */
  now: Date
  signal?: AbortSignal | undefined
}

/**
 * What was prepared before, else what `make` gives, which is kept. Of rows that stay on disk nothing is kept: all of them would have to be read to
 * know them again.
 */
export async function cached({ dataset, tokenizer, how, now, signal }: CacheRequest, make: () => Promise<Prepared>): Promise<Prepared> {
  if (dataset.isStreamed) {
    const made = await make()
    return { ...made, notes: [...made.notes, `${dataset.source}: ${ANEW}`] }
  }
  const known = dataset.known
  const rows = dataset.length === 0 ? null : (known ?? (await digestRows(dataset, signal)))
  if (rows === null || rows.characters < LEAST) return make()
  const key = createHash('sha256')
    .update(JSON.stringify([madeBy(), how, tokenizer.fingerprint(now), rows.digest]))
    .digest('hex')
  const place = () => join(preparedRowsFolder(), key + END)
  // what leads to rows is used with them: it isn't to go before them
  const keep = ({ origin }: Dataset) => {
    if (origin === null) return
    if (known === null) keepKnown(origin, { rows: dataset.length, columns: dataset.columns, ...rows })
    else touch(placeOfKnown(origin))
  }
  try {
    const path = place()
    const there = readPrepared(path, key)
    if (there) {
      touch(path)
      try {
        keep(dataset)
      } catch {
        // a folder that is only read: the file is parsed at the next start too
      }
      return { ...there, notes: [...there.notes, `${dataset.source}: prepared before, taken from ${path}`] }
    }
  } catch {
    // what can't be read is made anew, and written over
  }
  const made = await make()
  try {
    const folder = preparedRowsFolder()
    makeFolder(folder)
    if (writePrepared(place(), key, made) !== null) makeRoom(folder, MOST)
    keep(dataset)
    return made
  } catch (cause) {
    const why = cause instanceof SaqrError ? cause.message : (cause as Error).message
    return { ...made, notes: [...made.notes, `${dataset.source}: the prepared rows are not kept for the next start: ${why}`] }
  }
}

function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date())
  } catch {
    // a folder that is only read: it will be the next to go
  }
}

/** Removes the files used longest ago until the rest has at most `most` bytes. */
export function makeRoom(folder: string, most: number): void {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(END) || name.endsWith(KNOWN))
    .map((name) => join(folder, name))
    .flatMap((path) => {
      const stat = statSync(path, { throwIfNoEntry: false })
      return stat ? [{ path, size: stat.size, used: stat.mtimeMs }] : []
    })
    .sort((a, b) => b.used - a.used)
  let total = 0
  for (const { path, size } of files) if ((total += size) > most) rmSync(path, { force: true })
}
