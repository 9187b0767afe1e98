/**
 * Rows that stay on disk, whatever file they are in: where each begins is known, and one is read when it is asked for. What is packed (gzip) or
 * laid out by columns (Parquet) is unpacked into a file of nobody's first, a piece at a time.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { extname } from 'node:path'
import { SaqrError } from '../error.ts'
import { fileError, withFile } from '../hub/files.ts'
import { openCsv } from './csv-on-disk.ts'
import { isZipped, unpackedTo } from './gzip.ts'
import { openLines } from './lines-on-disk.ts'
import { openList } from './list-on-disk.ts'
import { NamelessFile } from './nameless.ts'
import { openParquet } from './parquet-on-disk.ts'
import type { Row } from './rows.ts'

export interface RowsOnDisk {
  rows: readonly Row[]
  unit: 'row' | 'line'
  /** numbers of the rows, where they are not 1, 2, 3 … */
  numbers?: readonly number[]
  columns: string[]
}

/** An open file with rows in it. */
export interface FileOfRows {
  fd: number
  /** as messages call it */
  path: string
  /** nobody else can write to it */
  own: boolean
  signal?: AbortSignal | undefined
}

const openers: Readonly<Record<string, (file: FileOfRows) => Promise<RowsOnDisk>>> = {
  '.json': openJson,
  '.jsonl': openJson,
  '.ndjson': openJson,
  '.csv': (file) => openCsv(file, ','),
  '.tsv': (file) => openCsv(file, '\t'),
}

/** @throws SaqrError FORMAT_…, DATA_…: every row is looked at once; OPTION_UNSUPPORTED for a file of another kind */
export async function openRows(path: string, signal?: AbortSignal): Promise<RowsOnDisk> {
  withFile(path, () => {}) // refuses what git-lfs left in its place
  const zipped = isZipped(path)
  const kind = extname(zipped ? path.slice(0, -3) : path).toLowerCase()
  if (kind === '.parquet') return openParquet(path, signal)
  const opener = openers[kind]
  if (!opener)
    throw new SaqrError(
      'OPTION_UNSUPPORTED',
      `${path} can't be streamed: ${Object.keys(openers).join(', ')} and .parquet files can, gzipped too. Save it as one, or leave streaming out.`,
    )
  if (!zipped) return opener({ fd: open(path), path, own: false, signal })
  const file = new NamelessFile('unpacked')
  try {
    await unpackedTo(file, path, signal)
  } catch (error) {
    closeSync(file.fd)
    throw error
  }
  return opener({ fd: file.fd, path, own: true, signal })
}

/** A list of rows, or a row a line. */
function openJson(file: FileOfRows): Promise<RowsOnDisk> {
  return /^(?:\xEF\xBB\xBF)?\s*\[/.test(beginOf(file)) ? openList(file) : openLines(file)
}

function beginOf({ fd, path }: FileOfRows): string {
  const begin = Buffer.alloc(1 << 12)
  try {
    return begin.toString('latin1', 0, readSync(fd, begin, 0, begin.length, 0))
  } catch (cause) {
    closeSync(fd) // it has no records yet that would
    throw fileError(cause, path, 'read')
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}
