/**
 * Rows of JSON: a list of objects (or of texts), one object, or an object a line. An object that is no row by its other columns and has
 * a list under `data` is a file of these rows.
 */
import { SaqrError } from '../error.ts'
import { decodeUtf8, isObject, parseJson } from '../formats/json.ts'
import type { Row, Rows } from './rows.ts'
import { isRow } from './shape.ts'

/** @throws SaqrError DATA_ROW */
function row(value: unknown, where: string): Row {
  if (isObject(value)) return value
  throw new SaqrError('DATA_ROW', `${where}: a row must be an object with named columns, this is ${JSON.stringify(value)?.slice(0, 40)}.`)
}

/** @throws SaqrError FORMAT_JSON, DATA_ROW */
export function parseRows(text: string, path: string): Rows {
  const parsed = parseJson(text, path, { exact: true })
  if (isObject(parsed)) {
    if (!Array.isArray(parsed.data) || isRow(Object.keys(parsed))) return { rows: [parsed], unit: 'row' }
    return { rows: parsed.data.map((value, i) => row(value, `${path}, row ${i + 1}`)), unit: 'row' }
  }
  if (!Array.isArray(parsed)) throw new SaqrError('DATA_FORMAT', `${path} holds neither rows nor a list of them. Write an object a row.`)
  const texts = parsed.length > 0 && parsed.every((value) => typeof value === 'string')
  return { rows: parsed.map((value, i) => (texts ? { text: value } : row(value, `${path}, row ${i + 1}`))), unit: 'row' }
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

/** Takes lines as they are read. Lines end at \n alone: U+2028 and its like may stand inside a string. */
export class Lines {
  readonly #path: string
  readonly #rows: Row[] = []
  readonly #numbers: number[] = []
  #number = 0

  constructor(path: string) {
    this.#path = path
  }

  /** No line of text was taken yet. */
  get isEmpty(): boolean {
    return this.#rows.length === 0
  }

  /** @throws SaqrError FORMAT_JSON, FORMAT_TEXT, DATA_ROW */
  take(bytes: Uint8Array): void {
    const where = `${this.#path}, line ${++this.#number}`
    const decoded = decodeUtf8(bytes, where)
    const text = this.#number === 1 ? decoded.replace(/^\uFEFF/, '') : decoded
    if (text.trim() === '') return
    this.#rows.push(row(parseJson(text, where, { line: true, exact: true }), where))
    this.#numbers.push(this.#number)
  }

  get rows(): Rows {
    return { rows: this.#rows, unit: 'line', numbers: this.#numbers }
  }
}
