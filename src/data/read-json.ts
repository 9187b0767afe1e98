/**
 * Rows of JSON: a list of objects (or of texts), one object, or objects one after the other, a line each or not. An object that is no row
 * by its other columns and has a list under `data` is a file of these rows.
 */
import { SaqrError } from '../error.ts'
import { decodeUtf8, isObject, parseJson } from '../formats/json.ts'
import { isBlankLine } from './blank.ts'
import { Objects } from './json-objects.ts'
import type { Row, Rows } from './rows.ts'
import { isRow } from './shape.ts'

/** @throws SaqrError DATA_ROW */
export function rowOf(value: unknown, where: string): Row {
  if (isObject(value)) return value
  throw new SaqrError('DATA_ROW', `${where}: a row must be an object with named columns, this is ${JSON.stringify(value)?.slice(0, 40)}.`)
}

/** @throws SaqrError FORMAT_JSON, DATA_ROW */
export function parseRows(text: string, path: string): Rows {
  const parsed = parseJson(text, path, { exact: true })
  if (isObject(parsed)) {
    if (!Array.isArray(parsed.data) || isRow(Object.keys(parsed))) return { rows: [parsed], unit: 'row' }
    return { rows: parsed.data.map((value, i) => rowOf(value, `${path}, row ${i + 1}`)), unit: 'row' }
  }
  if (!Array.isArray(parsed)) throw new SaqrError('DATA_FORMAT', `${path} holds neither rows nor a list of them. Write an object a row.`)
  const texts = parsed.length > 0 && parsed.every((value) => typeof value === 'string')
  return { rows: parsed.map((value, i) => (texts ? { text: value } : rowOf(value, `${path}, row ${i + 1}`))), unit: 'row' }
}

/** The first line is an object by itself: it is a file of lines, whatever its name. */
export function isLines(text: string): boolean {
  const [first = '', ...rest] = text.trimStart().split('\n', 2)
  if (rest.length === 0) return false
  try {
    return isObject(parseJson(first, '', { exact: true }))
  } catch {
    return false
  }
}

/**
 * Rows of a text that is one value, or several one after the other.
 * @throws SaqrError FORMAT_JSON, DATA_ROW: of the first reading
 */
export function parseAnyRows(text: string, path: string): Rows {
  try {
    return parseRows(text, path)
  } catch (error) {
    try {
      const lines = new Lines(path, { shape: 'any' })
      for (const line of text.split('\n')) lines.takeText(line)
      return lines.finish()
    } catch {
      throw error
    }
  }
}

/**
 * Takes lines as they are read. A line ends at \n, \r or both: U+2028 and its like may stand inside a string. A line may hold several
 * objects, and an object may go over several lines: the first of a file does so where its `shape` is any.
 */
export class Lines {
  readonly #path: string
  readonly #anyShape: boolean
  readonly #rows: Row[] = []
  readonly #numbers: number[] = []
  #number = 0
  /** objects that are no lines of their own */
  #objects = new Objects()
  /** where the object that has no end yet begins, and what is wrong with it */
  #begun: { line: number; error: unknown } | undefined

  constructor(path: string, { shape = 'lines' }: { shape?: 'lines' | 'any' } = {}) {
    this.#path = path
    this.#anyShape = shape === 'any'
  }

  /** No line of text was taken yet. */
  get isEmpty(): boolean {
    return this.#rows.length === 0 && !this.#begun
  }

  /** @throws SaqrError FORMAT_JSON, FORMAT_TEXT, DATA_ROW */
  take(bytes: Uint8Array): void {
    this.takeText(decodeUtf8(bytes, `${this.#path}, line ${this.#number + 1}`))
  }

  /** @throws SaqrError FORMAT_JSON, DATA_ROW */
  takeText(line: string): void {
    const text = this.#number === 0 ? line.replace(/^\uFEFF/, '') : line
    const inner = text.indexOf('\r')
    if (inner === -1 || inner === text.length - 1) this.#line(text)
    else for (const part of text.replace(/\r$/, '').split('\r')) this.#line(part)
  }

  #line(text: string): void {
    const line = ++this.#number
    const value = this.#begun ? undefined : this.#value(text, line)
    if (this.#begun) this.#more(text, line)
    else if (value !== undefined) this.#push(value, line)
  }

  /** Of a line by itself; undefined where it is empty, or an object that goes on, or several. */
  #value(text: string, line: number): unknown {
    if (isBlankLine(text)) return undefined
    try {
      return parseJson(text, `${this.#path}, line ${line}`, { line: true, exact: true })
    } catch (error) {
      if (this.isEmpty && !this.#anyShape) throw error
      this.#begun = { line, error }
    }
  }

  /** What is no value of its own: several, or a part of one. */
  #more(text: string, line: number): void {
    const begun = this.#begun!
    const whole = this.#objects.take(`${text}\n`)
    if (!whole) throw begun.error
    for (const [i, object] of whole.entries()) {
      const from = i === 0 ? begun.line : line
      const where = `${this.#path}, line ${from}, object ${i + 1}`
      try {
        this.#push(parseJson(object, where, { line: true, exact: true }), from)
      } catch (error) {
        throw i === 0 ? begun.error : error // the line's own says the column
      }
    }
    if (!this.#objects.isOpen) this.#begun = undefined
    else if (whole.length > 0) this.#begun = { line, error: begun.error }
  }

  #push(value: unknown, line: number): void {
    this.#rows.push(rowOf(value, `${this.#path}, line ${line}`))
    this.#numbers.push(line)
  }

  /** @throws SaqrError FORMAT_JSON: the last object has no end */
  finish(): Rows {
    if (this.#begun) throw this.#begun.error
    return { rows: this.#rows, unit: 'line', numbers: this.#numbers }
  }
}
