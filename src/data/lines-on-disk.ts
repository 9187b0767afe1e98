/**
 * Rows of lines that stay on disk: the file is gone through once, where each line begins is remembered, and a row is read when it is asked for.
 * A line ends at \\n, \\r or both. Stricter than reading it whole: a line is one object.
 */
import { fstatSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { decodeUtf8, parseJson } from '../formats/json.ts'
import { readExactly } from '../hub/files.ts'
import { isInk } from './blank.ts'
import { breathe } from './breathe.ts'
import { lazyList } from './lazy-list.ts'
import { rowOf } from './read-json.ts'
import { Records } from './records.ts'
import type { Row } from './rows.ts'
import type { FileOfRows, RowsOnDisk } from './rows-on-disk.ts'
import { isRow } from './shape.ts'
import { Spans } from './spans.ts'

/** bytes read at once */
export const CHUNK = 1 << 22
const [NEWLINE, RETURN] = [10, 13]

/** @throws SaqrError FORMAT_…, DATA_ROW: every row is looked at once */
export async function openLines({ fd, path, own, signal }: FileOfRows): Promise<RowsOnDisk> {
  const lines = new Spans()
  const records = new Records(fd, path, (i) => lines.at(i), own)
  const { size } = fstatSync(fd)
  let breath = performance.now()
  let line = 0
  const begin = markOf(fd, path, size)
  let from = begin
  let blank = true
  let returned = false
  const end = (at: number) => {
    line++
    if (!blank) lines.add(from, at, line)
    from = at + 1
    blank = true
  }
  for (let at = begin; at < size; at += CHUNK) {
    const chunk = readExactly(fd, path, at, Math.min(CHUNK, size - at))
    const ending = ender(chunk)
    for (let i = 0; i < chunk.length; ) {
      // \r\n is one end
      if (returned && chunk[i] === NEWLINE) from = at + ++i
      returned = false
      if (i === chunk.length) break
      const stop = ending(i)
      if (blank) blank = !chunk.subarray(i, stop).some(isInk)
      if (stop < chunk.length) {
        end(at + stop)
        returned = chunk[stop] === RETURN
      }
      i = stop + 1
    }
    breath = await breathe(breath, signal)
  }
  if (from < size) end(size)
  const parse = (i: number): Row => {
    const where = `${path}, line ${lines.numberOf(i)}`
    return rowOf(parseJson(decodeUtf8(records.read(i), where), where, { line: true, exact: true }), where)
  }
  const columns = await columnsOf(lines.length, parse, signal)
  if (lines.length === 1 && !isRow(columns) && Array.isArray(parse(0).data))
    throw new SaqrError(
      'DATA_FORMAT',
      `${path} holds its rows in a list under data, and what stays on disk is a row a line, or one list of rows: write it so, or have it read into memory`,
    )
  return {
    rows: lazyList(lines.length, parse),
    unit: 'line',
    numbers: lazyList(lines.length, (i) => lines.numberOf(i)),
    columns,
  }
}

/** bytes of the byte order mark that the file begins with */
function markOf(fd: number, path: string, size: number): number {
  const MARK = Buffer.from('\uFEFF')
  return size >= MARK.length && MARK.equals(readExactly(fd, path, 0, MARK.length)) ? MARK.length : 0
}

/** All columns that some row has; every row is looked at. */
export async function columnsOf(rows: number, parse: (i: number) => Row, signal?: AbortSignal): Promise<string[]> {
  const columns = new Set<string>()
  let breath = performance.now()
  for (let i = 0; i < rows; i++) {
    for (const column of Object.keys(parse(i))) columns.add(column)
    breath = await breathe(breath, signal)
  }
  return [...columns]
}

/** From where on -> where the next line's end is, or the chunk's. Asked in order. */
function ender(chunk: Uint8Array): (from: number) => number {
  const next = { [NEWLINE]: -1, [RETURN]: -1 } as Record<number, number>
  const find = (byte: number, from: number) => {
    if (next[byte]! < from) {
      const found = chunk.indexOf(byte, from)
      next[byte] = found === -1 ? chunk.length : found
    }
    return next[byte]!
  }
  return (from) => Math.min(find(NEWLINE, from), find(RETURN, from))
}
