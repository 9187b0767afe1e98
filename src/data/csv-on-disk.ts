/** Rows of a CSV file that stay on disk: where each record begins is found by line ends outside of quotes. */
import { fstatSync } from 'node:fs'
import { decodeUtf8 } from '../formats/json.ts'
import { readExactly } from '../hub/files.ts'
import { breathe } from './breathe.ts'
import { lazyList } from './lazy-list.ts'
import { CHUNK } from './lines-on-disk.ts'
import { headerOf, recordsOf, rowOfCells, unclosed } from './read-csv.ts'
import { Records } from './records.ts'
import type { Row } from './rows.ts'
import type { FileOfRows, RowsOnDisk } from './rows-on-disk.ts'
import { Spans } from './spans.ts'

const [QUOTE, NEWLINE, RETURN] = [34, 10, 13]

/** @throws SaqrError DATA_ROW, DATA_FORMAT, FORMAT_TEXT: every row is looked at once */
export async function openCsv({ fd, path, own, signal }: FileOfRows, separator: string): Promise<RowsOnDisk> {
  let spans = new Spans()
  const records = new Records(fd, path, (i) => spans.at(i), own)
  const { size } = fstatSync(fd)
  const scan = new Scanner(separator.charCodeAt(0), (from, to, line) => spans.add(from, to, line))
  let breath = performance.now()
  for (let at = 0; at < size; at += CHUNK) {
    scan.take(readExactly(fd, path, at, Math.min(CHUNK, size - at)), at)
    breath = await breathe(breath, signal)
  }
  const open = scan.finish(size)
  if (open !== null) throw unclosed(path, open)
  /** none where its cells are white space */
  const record = (i: number) => {
    const line = spans.numberOf(i)
    const text = decodeUtf8(records.read(i), `${path}, line ${line}`)
    return recordsOf(spans.at(i)[0] === 0 ? text.replace(/^\uFEFF/, '') : text, separator, path, line)[0]
  }
  let columns: string[] | undefined
  const filled = new Spans()
  for (let i = 0; i < spans.length; i++) {
    const found = record(i)
    if (found && columns) {
      rowOfCells(found, columns, path) // too many cells are told now
      filled.add(...spans.at(i), spans.numberOf(i))
    } else if (found) columns = headerOf(found, separator, path)
    breath = await breathe(breath, signal)
  }
  spans = filled
  const parse = (i: number): Row => rowOfCells(record(i)!, columns!, path)
  return { rows: lazyList(filled.length, parse), unit: 'row', columns: filled.length > 0 ? columns! : [] }
}

/** Finds records as pandas' reader does: a quote opens a quoted cell at its beginning only. */
class Scanner {
  readonly #separator: number
  readonly #found: (from: number, to: number, line: number) => void
  /** of the record */
  #from = 0
  #line = 1
  /** that is read */
  #now = 1
  #begins = true
  #quoted = false
  /** the byte before: a quote within a quoted cell, which ends it or is the first of two; a carriage return that ended a record, or stood in quotes */
  #before: 'quote' | 'end' | 'return' | null = null

  constructor(separator: number, found: (from: number, to: number, line: number) => void) {
    this.#separator = separator
    this.#found = found
  }

  /** @param at of the first byte in the file */
  take(bytes: Uint8Array, at: number): void {
    const separator = this.#separator
    // a byte order mark
    for (let i = at === 0 && bytes[0] === 0xef ? 3 : 0; i < bytes.length; i++) {
      const c = bytes[i]!
      if (this.#quoted) {
        const before = this.#before
        this.#before = null
        if (before === 'quote') {
          if (c === QUOTE) continue
          this.#quoted = false
        } else {
          if (c === QUOTE) this.#before = 'quote'
          else if (c === RETURN || (c === NEWLINE && before !== 'return')) {
            this.#now++
            if (c === RETURN) this.#before = 'return'
          }
          continue
        }
      }
      if (c === NEWLINE && this.#before === 'end') {
        this.#before = null
        this.#from = at + i + 1
      } else if (c === NEWLINE || c === RETURN) {
        this.#end(at + i)
        this.#before = c === RETURN ? 'end' : null
      } else {
        this.#before = null
        if (c === QUOTE && this.#begins) this.#quoted = true
        this.#begins = c === separator
      }
    }
  }

  #end(at: number): void {
    if (at > this.#from) this.#found(this.#from, at, this.#line)
    this.#from = at + 1
    this.#line = ++this.#now
    this.#begins = true
  }

  /** The line in which a quote is opened that is never closed; null: there is none. */
  finish(size: number): number | null {
    if (this.#quoted && this.#before !== 'quote') return this.#line
    this.#end(size)
    return null
  }
}
