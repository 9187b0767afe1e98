/**
 * Rows of a .jsonl file that stay on disk: the file is gone through once, where each line begins is remembered, and a row is read when it is
 * asked for. Stricter than reading it whole: a line is one object.
 */
import { fstatSync, openSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { decodeUtf8, parseJson } from '../formats/json.ts'
import { fileError, readExactly } from '../hub/files.ts'
import { breathe } from './breathe.ts'
import { lazyList } from './lazy-list.ts'
import { rowOf } from './read-json.ts'
import { Growing, Records } from './records.ts'
import type { Row } from './rows.ts'

const CHUNK = 1 << 22
const NEWLINE = 10

export interface RowsOnDisk {
  rows: readonly Row[]
  unit: 'line'
  /** numbers of the lines */
  numbers: readonly number[]
  columns: string[]
}

/** @throws SaqrError FORMAT_…, DATA_ROW: every row is looked at once */
export async function openLines(path: string, signal?: AbortSignal): Promise<RowsOnDisk> {
  const fd = open(path)
  const begins = new Growing()
  const ends = new Growing()
  const numbers = new Growing()
  const records = new Records(fd, path, (i) => [begins.at(i), ends.at(i)])
  const { size } = fstatSync(fd)
  let breath = performance.now()
  let line = 0
  let from = 0
  let blank = true
  const end = (at: number) => {
    line++
    if (!blank) {
      begins.push(from)
      ends.push(at)
      numbers.push(line)
    }
    from = at + 1
    blank = true
  }
  for (let at = 0; at < size; at += CHUNK) {
    const chunk = readExactly(fd, path, at, Math.min(CHUNK, size - at))
    for (let i = 0; i < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, i)
      const stop = newline === -1 ? chunk.length : newline
      if (blank) blank = !chunk.subarray(i, stop).some(isInk)
      if (newline !== -1) end(at + newline)
      i = stop + 1
    }
    breath = await breathe(breath, signal)
  }
  if (from < size) end(size)
  const parse = (i: number): Row => {
    const where = `${path}, line ${numbers.at(i)}`
    const text = decodeUtf8(records.read(i), where)
    if (i === 0 && /^\uFEFF?\s*\[/.test(text))
      throw new SaqrError(
        'FORMAT_JSON',
        `${path} holds one list of rows, and what stays on disk has a row a line: write it so, or have it read into memory`,
      )
    return rowOf(parseJson(numbers.at(i) === 1 ? text.replace(/^\uFEFF/, '') : text, where, { line: true, exact: true }), where)
  }
  const columns = new Set<string>()
  for (let i = 0; i < begins.length; i++) {
    for (const column of Object.keys(parse(i))) columns.add(column)
    breath = await breathe(breath, signal)
  }
  return {
    rows: lazyList(begins.length, parse),
    unit: 'line',
    numbers: lazyList(numbers.length, (i) => numbers.at(i)),
    columns: [...columns],
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (cause) {
    throw fileError(cause, path, 'read')
  }
}

/** no space, tab or carriage return */
const isInk = (byte: number) => byte !== 32 && byte !== 9 && byte !== 13

/** @throws SaqrError OPTION_UNSUPPORTED for a file that is read whole */
export function requireLines(path: string): void {
  if (!/\.(jsonl|ndjson)$/i.test(path))
    throw new SaqrError(
      'OPTION_UNSUPPORTED',
      `${path} can't be streamed: lines of a .jsonl file can. Save it as one, or leave streaming out.`,
    )
}
