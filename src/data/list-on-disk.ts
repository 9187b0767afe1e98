/** Rows of one JSON list that stay on disk: where each object begins and ends is found by its brackets, what is within is read when it is asked for. */
import { fstatSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { decodeUtf8, parseJson } from '../formats/json.ts'
import { readExactly } from '../hub/files.ts'
import { breathe } from './breathe.ts'
import { lazyList } from './lazy-list.ts'
import { CHUNK, columnsOf } from './lines-on-disk.ts'
import { rowOf } from './read-json.ts'
import { Records } from './records.ts'
import type { Row } from './rows.ts'
import type { FileOfRows, RowsOnDisk } from './rows-on-disk.ts'
import { Spans } from './spans.ts'

const [QUOTE, BACKSLASH, OPEN, CLOSE, LIST, LIST_END, COMMA] = ['"', '\\', '{', '}', '[', ']', ','].map((c) => c.charCodeAt(0))
const BLANKS = new Set([' ', '\t', '\n', '\r'].map((c) => c.charCodeAt(0)))

/** @throws SaqrError FORMAT_JSON, DATA_ROW: every row is looked at once */
export async function openList({ fd, path, own, signal }: FileOfRows): Promise<RowsOnDisk> {
  const spans = new Spans()
  const records = new Records(fd, path, (i) => spans.at(i), own)
  const { size } = fstatSync(fd)
  const scan = new Scanner(path, spans)
  let breath = performance.now()
  for (let at = 0; at < size; at += CHUNK) {
    scan.take(readExactly(fd, path, at, Math.min(CHUNK, size - at)), at)
    breath = await breathe(breath, signal)
  }
  scan.finish()
  const parse = (i: number): Row => {
    const where = `${path}, row ${i + 1}`
    return rowOf(parseJson(decodeUtf8(records.read(i), where), where, { exact: true }), where)
  }
  return { rows: lazyList(spans.length, parse), unit: 'row', columns: await columnsOf(spans.length, parse, signal) }
}

/** What may come next between the rows. */
type Next = 'list' | 'row or end' | 'row' | 'comma or end' | 'nothing'

class Scanner {
  readonly #path: string
  readonly #spans: Spans
  /** of the row that is read */
  #from = 0
  #next: Next = 'list'
  #depth = 0
  #inText = false
  #escaped = false

  constructor(path: string, spans: Spans) {
    this.#path = path
    this.#spans = spans
  }

  /** @param at of the first byte in the file */
  take(bytes: Uint8Array, at: number): void {
    // a byte order mark
    for (let i = at === 0 && bytes[0] === 0xef ? 3 : 0; i < bytes.length; i++) {
      const c = bytes[i]!
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false
        else if (c === BACKSLASH) this.#escaped = true
        else if (c === QUOTE) this.#inText = false
      } else if (this.#depth === 0) {
        if (!BLANKS.has(c)) this.#between(c, at + i)
      } else if (c === QUOTE) this.#inText = true
      else if (c === OPEN || c === LIST) this.#depth++
      else if ((c === CLOSE || c === LIST_END) && --this.#depth === 0) {
        this.#spans.add(this.#from, at + i + 1)
        this.#next = 'comma or end'
      }
    }
  }

  #between(c: number, at: number): void {
    const next = this.#next
    const ends = next === 'row or end' || next === 'comma or end'
    if (c === LIST && next === 'list') this.#next = 'row or end'
    else if (c === LIST_END && ends) this.#next = 'nothing'
    else if (c === COMMA && next === 'comma or end') this.#next = 'row'
    else if (c === OPEN && (next === 'row' || next === 'row or end')) {
      this.#from = at
      this.#depth = 1
    } else {
      const row = this.#spans.length + 1
      if (next === 'row' || next === 'row or end')
        throw new SaqrError(
          'DATA_ROW',
          `${this.#path}, row ${row}: a row must be an object with named columns. Texts alone are read into memory only.`,
        )
      throw new SaqrError(
        'FORMAT_JSON',
        `${this.#path}, byte ${at + 1}: ${next === 'nothing' ? 'the list of rows has ended' : `after row ${row - 1} comes neither a comma nor the end of the list`}. Correct it, or write a row a line.`,
      )
    }
  }

  /** @throws SaqrError FORMAT_JSON */
  finish(): void {
    if (this.#next !== 'nothing')
      throw new SaqrError('FORMAT_JSON', `${this.#path} ends within its list of rows, after row ${this.#spans.length}. Fetch it again.`)
  }
}
