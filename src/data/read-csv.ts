/**
 * CSV as pandas' reader takes it apart (and with it Hugging Face's `datasets`): a quote opens a quoted cell at its beginning only and is
 * a character like any other within an unquoted one; lines of white space are skipped; cells that a line lacks are null; a column named
 * like one before it gets a number (`text`, `text.1`). All cells stay texts.
 */
import { SaqrError } from '../error.ts'
import type { Row, Rows } from './rows.ts'

export interface Record {
  cells: string[]
  /** line it begins in, from 1 */
  line: number
}

/** @throws SaqrError DATA_ROW */
export function parseCsv(text: string, path: string, separator: string): Rows {
  const records = recordsOf(text.replace(/^\uFEFF/, ''), separator, path)
  const header = records.shift()
  if (!header) return { rows: [], unit: 'row' }
  const columns = headerOf(header, separator, path)
  return { rows: records.map((record) => rowOfCells(record, columns, path)), unit: 'row' }
}

/** @throws SaqrError DATA_FORMAT: another separator */
export function headerOf({ cells }: Record, separator: string, path: string): string[] {
  requireSeparator(cells, separator, path)
  return numbered(cells)
}

/** @throws SaqrError DATA_ROW: too many cells */
export function rowOfCells({ cells, line }: Record, columns: readonly string[], path: string): Row {
  if (cells.length > columns.length)
    throw bad(path, `line ${line} has ${cells.length} cells where the first line names ${columns.length} columns`)
  return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? null]))
}

export const unclosed = (path: string, line: number): SaqrError => bad(path, `the quote opened in line ${line} is never closed`)

const bad = (path: string, why: string) =>
  new SaqrError(
    'DATA_ROW',
    `${path} is not a valid CSV file: ${why}. The first line must name the columns; a cell that holds commas is put in quotes.`,
  )

const others: [string, string][] = [[';', 'semicolons'], ['\t', 'tabs'], ['|', 'bars'], [',', 'commas']] // biome-ignore format: a row

/** One column whose name holds another separator is a file with that separator. */
function requireSeparator(header: string[], separator: string, path: string): void {
  const found = header.length === 1 ? others.find(([other]) => other !== separator && header[0]!.includes(other)) : undefined
  if (!found) return
  const names = header[0]!.split(found[0]).map((name) => name.trim().replace(/^"(.*)"$/, '$1'))
  const own = others.find(([other]) => other === separator)![1]
  const rename = found[0] === '\t' ? ', or name the file .tsv' : found[0] === ',' ? ', or name the file .csv' : ''
  throw new SaqrError(
    'DATA_FORMAT',
    `${path} separates its columns (${names.join(', ')}) by ${found[1]}, not by ${own}. Save it with ${own}${rename}, or convert it to JSON lines.`,
  )
}

function numbered(header: string[]): string[] {
  const taken = new Set<string>()
  return header.map((name, i) => {
    let unique = name === '' ? `Unnamed: ${i}` : name
    for (let n = 1; taken.has(unique); n++) unique = `${name}.${n}`
    taken.add(unique)
    return unique
  })
}

/** @param line of the first. @throws SaqrError DATA_ROW */
export function recordsOf(text: string, separator: string, path: string, line = 1): Record[] {
  const records: Record[] = []
  let at = 0
  while (at < text.length) {
    const record: Record = { cells: [], line }
    let blank = true
    for (let more = true; more; ) {
      const cell = readCell(text, at, separator)
      if (!cell) throw unclosed(path, record.line)
      for (let i = at; i < cell.end; i++) if (isLineEnd(text, i)) line++
      if (cell.quoted || !/^[ \t]*$/.test(cell.text)) blank = false
      record.cells.push(cell.text)
      at = cell.end
      more = text[at] === separator
      if (more) at++
      if (more) blank = false
    }
    if (text.startsWith('\r\n', at)) at++
    at++
    line++
    if (!blank) records.push(record)
  }
  return records
}

const isLineEnd = (text: string, i: number) => text[i] === '\n' || (text[i] === '\r' && text[i + 1] !== '\n')

/** A cell from `from` to a separator, a line's end or the end; undefined where its quote is never closed. */
function readCell(text: string, from: number, separator: string): { text: string; end: number; quoted: boolean } | undefined {
  let value = ''
  let at = from
  const quoted = text[at] === '"'
  if (quoted) {
    for (at++; ; ) {
      const end = text.indexOf('"', at)
      if (end === -1) return undefined
      value += text.slice(at, end)
      at = end + 1
      if (text[at] !== '"') break
      value += '"'
      at++
    }
  }
  const start = at
  while (at < text.length && text[at] !== separator && text[at] !== '\n' && text[at] !== '\r') at++
  return { text: value + text.slice(start, at), end: at, quoted }
}
