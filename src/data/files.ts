/**
 * Rows out of a file: .json, .jsonl, .csv, .tsv, .parquet, each also gzipped. What a file holds counts more than its name, as in Hugging
 * Face's `datasets`: a list or one object may stand in a .jsonl, lines in a .json. Every error names the file and the place.
 */
import { extname } from 'node:path'
import { SaqrError } from '../error.ts'
import { exists, isFile, withFile } from '../formats/files.ts'
import { decodeUtf8, readText } from '../formats/json.ts'
import { notFound } from '../hub/not-found.ts'
import { bytesOf, isZipped, unpackError, unpackWhole } from './gzip.ts'
import { parseCsv } from './read-csv.ts'
import { isLines, Lines, parseAnyRows, parseRows } from './read-json.ts'
import { readParquet } from './read-parquet.ts'
import { Room } from './room.ts'
import type { Rows } from './rows.ts'

export type { Row, Rows } from './rows.ts'

const readers: Record<string, (path: string, room: Room) => Promise<Rows>> = {
  '.json': readJson,
  '.jsonl': readLines,
  '.ndjson': readLines,
  '.csv': async (path) => parseCsv(textOf(path), path, ','),
  '.tsv': async (path) => parseCsv(textOf(path), path, '\t'),
  '.parquet': readParquet,
}

/**
 * @param room of all files that are read with it
 * @throws SaqrError DATA_FORMAT, DATA_ROW, DATA_TOO_LARGE, FORMAT_…
 */
export async function readRows(path: string, room = new Room([path])): Promise<Rows> {
  const zipped = isZipped(path)
  const reader = readers[extname(zipped ? path.slice(0, -3) : path).toLowerCase()]
  if (isFile(path)) withFile(path, () => {}) // refuses what git-lfs left in its place
  if (reader) return reader(path, room)
  if (!exists(path)) throw notFound(path)
  const packed = /\.(zst|bz2|xz|zip|7z|tar|tgz|lz4)$/i.test(path)
  throw new SaqrError(
    'DATA_FORMAT',
    packed
      ? `${path} is packed in a way that is not read here: unpack it first (gzip is read as it is).`
      : `${path}: rows are read from ${Object.keys(readers).join(', ')} files. Convert it to one of them, for example to lines of {"text": "…"} in a .jsonl file.`,
  )
}

/** The text of a file, unpacked, without a byte order mark. */
function textOf(path: string): string {
  return isZipped(path) ? decodeUtf8(unpackWhole(path), path).replace(/^\uFEFF/, '') : readText(path)
}

async function readJson(path: string, room: Room): Promise<Rows> {
  const text = textOf(path)
  return isLines(text) ? readLines(path, room) : parseAnyRows(text, path)
}

/** The rows of a .json or .jsonl file that isn't packed, of its bytes. @throws SaqrError as `readRows` */
export function readRowsOf(bytes: Buffer, path: string): Rows {
  const text = () => decodeUtf8(bytes, path).replace(/^\uFEFF/, '')
  if (extname(path).toLowerCase() === '.json' && !isLines(text())) return parseAnyRows(text(), path)
  const reader = new LineReader(path, text)
  return reader.take(bytes) ?? reader.end()
}

async function readLines(path: string, room: Room): Promise<Rows> {
  const reader = new LineReader(path, () => textOf(path))
  const count = isZipped(path) ? room.unpack(path) : () => {}
  try {
    for await (const chunk of bytesOf(path)) {
      count(chunk.length)
      const rows = reader.take(chunk)
      if (rows) return rows
    }
  } catch (cause) {
    throw unpackError(cause, path)
  }
  return reader.end()
}

/** Lines out of a file's bytes, which may come in pieces. */
class LineReader {
  readonly #path: string
  readonly #lines: Lines
  /** the whole file */
  readonly #text: () => string
  #rest: Buffer[] = []
  #first = true

  constructor(path: string, text: () => string) {
    this.#path = path
    this.#lines = new Lines(path)
    this.#text = text
  }

  /** The rows of the whole file where it isn't one of lines. */
  take(chunk: Buffer): Rows | undefined {
    // a list can't begin a line of rows
    if (this.#first && /^(?:\xEF\xBB\xBF)?\s*\[/.test(chunk.subarray(0, 64).toString('latin1'))) return parseRows(this.#text(), this.#path)
    this.#first = false
    let from = 0
    for (let end = chunk.indexOf(10); end !== -1; from = end + 1, end = chunk.indexOf(10, from)) {
      const rows = this.#line(chunk.subarray(from, end))
      if (rows) return rows
    }
    this.#rest.push(chunk.subarray(from))
  }

  end(): Rows {
    return this.#line(Buffer.alloc(0)) ?? this.#lines.finish()
  }

  #line(end: Buffer): Rows | undefined {
    const bytes = this.#rest.length === 0 ? end : Buffer.concat([...this.#rest, end])
    this.#rest = []
    try {
      this.#lines.take(bytes)
    } catch (error) {
      if (!this.#lines.isEmpty || !(error instanceof SaqrError)) throw error
      return wholeOr(error, this.#text, this.#path)
    }
  }
}

/** One object over several lines, or several on one; where the file is not that either, what was wrong with its first line. */
function wholeOr(error: SaqrError, text: () => string, path: string): Rows {
  try {
    return parseAnyRows(text(), path)
  } catch {
    throw error
  }
}
