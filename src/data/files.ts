/** Rows out of a file: .json (a list, or an object with the list under `data`), .jsonl, .csv, .parquet. Every error names the file and the place. */
import { createReadStream } from 'node:fs'
import { basename, extname } from 'node:path'
import { CsvError, parse } from 'csv-parse/sync'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { SaqrError } from '../error.ts'
import { exists, fileError, isFile, withFile } from '../formats/files.ts'
import { decodeUtf8, isObject, parseJson, readText } from '../formats/json.ts'
import { notFound } from '../hub/not-found.ts'

export type Row = Readonly<Record<string, unknown>>

export interface Rows {
  rows: Row[]
  /** what a row is called by number: `row` or `line` */
  unit: string
  /** numbers of the rows, where they are not 1, 2, 3 … */
  numbers?: number[]
}

const readers: Record<string, (path: string) => Promise<Rows>> = {
  '.json': readJsonRows,
  '.jsonl': readLines,
  '.ndjson': readLines,
  '.csv': readCsv,
  '.parquet': readParquet,
}

/** @throws SaqrError DATA_FORMAT, DATA_ROW, FORMAT_… */
export async function readRows(path: string): Promise<Rows> {
  const reader = readers[extname(path).toLowerCase()]
  if (!reader && !exists(path)) throw notFound(path)
  if (!reader)
    throw new SaqrError(
      'DATA_FORMAT',
      `${path}: rows are read from ${Object.keys(readers).join(', ')} files. Convert it to one of them, for example to lines of {"text": "…"} in a .jsonl file.`,
    )
  if (isFile(path)) withFile(path, () => {}) // refuses what git-lfs left in its place
  return reader(path)
}

function row(value: unknown, where: string): Row {
  if (isObject(value)) return value
  throw new SaqrError('DATA_ROW', `${where}: a row must be an object with named columns, this is ${JSON.stringify(value)?.slice(0, 40)}.`)
}

async function readJsonRows(path: string): Promise<Rows> {
  const text = readText(path).replace(/^\uFEFF/, '')
  const [first = '', ...rest] = text.trimStart().split('\n', 2)
  if (rest.length > 0 && isWholeObject(first)) return readLines(path) // lines under another name
  const parsed = parseJson(text, path)
  const list = Array.isArray(parsed) ? parsed : isObject(parsed) ? parsed.data : undefined
  if (!Array.isArray(list)) throw new SaqrError('DATA_FORMAT', `${path} holds neither a list of rows nor an object with one under "data".`)
  return { rows: list.map((value, i) => row(value, `${path}, row ${i + 1}`)), unit: 'row' }
}

function isWholeObject(line: string): boolean {
  try {
    return isObject(JSON.parse(line))
  } catch {
    return false
  }
}

/** Lines end at \n alone: U+2028 and its like may stand inside a string. */
async function readLines(path: string): Promise<Rows> {
  const rows: Row[] = []
  const numbers: number[] = []
  let number = 0
  const take = (bytes: Uint8Array) => {
    const where = `${path}, line ${++number}`
    const text = decodeUtf8(bytes, where).replace(/^\uFEFF/, '')
    if (text.trim() === '') return
    rows.push(row(parseJson(text, where, { line: true }), where))
    numbers.push(number)
  }
  let rest: Buffer[] = []
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let from = 0
      for (let end = chunk.indexOf(10); end !== -1; from = end + 1, end = chunk.indexOf(10, from)) {
        take(Buffer.concat([...rest, chunk.subarray(from, end)]))
        rest = []
      }
      rest.push(chunk.subarray(from))
    }
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
  take(Buffer.concat(rest))
  return { rows, unit: 'line', numbers }
}

async function readCsv(path: string): Promise<Rows> {
  const text = readText(path)
  try {
    return { rows: parse(text, { columns: true, bom: true, skip_empty_lines: true }) as Row[], unit: 'row' }
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause
    throw new SaqrError('DATA_ROW', `${path} is not a valid CSV file: ${cause.message}. The first line must name the columns.`, { cause })
  }
}

async function readParquet(path: string): Promise<Rows> {
  let file: Awaited<ReturnType<typeof asyncBufferFromFile>>
  try {
    file = await asyncBufferFromFile(path)
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
  try {
    return { rows: ((await parquetReadObjects({ file, compressors })) as Row[]).map((r) => plain(r) as Row), unit: 'row' }
  } catch (cause) {
    throw new SaqrError(
      'DATA_FORMAT',
      `${basename(path)} can't be read as Parquet: ${(cause as Error).message}. Fetch it again, or convert it to JSON lines.`,
      { cause },
    )
  }
}

/** 64-bit integers as numbers */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(plain)
  if (isObject(value) && !(value instanceof Date)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
  return value
}
