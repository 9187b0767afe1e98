/** What stands in a row's columns, and the error that names the row. */
import { type Message, SaqrError, say } from '../error.ts'
import { parseJson } from '../formats/json.ts'
import type { Row } from './rows.ts'

export const bad = (where: string, why: string | Message) => new SaqrError('DATA_ROW', say`${where}: ${why}. Correct or remove the row.`)

export const shown = (value: unknown) =>
  value === undefined
    ? 'missing'
    : Number.isNaN(value)
      ? 'NaN'
      : ArrayBuffer.isView(value)
        ? `${value.byteLength} bytes`
        : JSON.stringify(value).slice(0, 60)

/** Null, and NaN: what pandas writes where a cell is empty. */
export const isMissing = (value: unknown): value is null | undefined => value === undefined || value === null || Number.isNaN(value)

/** @throws SaqrError DATA_ROW */
export function textOf(row: Row, column: string, where: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw bad(where, `${column} must be a text, it is ${shown(value)}`)
  return value
}

/** Of a column that may be left empty. @throws SaqrError DATA_ROW */
export const textOrNone = (row: Row, column: string, where: string): string => (isMissing(row[column]) ? '' : textOf(row, column, where))

/** What a text of JSON holds, as columns of Parquet and CSV keep objects; null where there is nothing. @throws SaqrError FORMAT_JSON */
export function unpacked(value: unknown, where: string): unknown {
  if (isMissing(value) || value === '') return null
  return typeof value === 'string' ? parseJson(value, where, { line: true, exact: true }) : value
}
