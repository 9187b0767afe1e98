/** What the calls of a data set take. */
import { SaqrError } from '../error.ts'
import { type Check, filled, func, number, shown, whole } from '../hub/arguments.ts'
import type { Row } from './rows.ts'

export const sourceName: Check<string> = filled
export const count: Check<number> = whole(0)
export const index: Check<number> = number('a whole number', Number.isSafeInteger)
export const rowFunction: Check<never> = func('a function')

/** @throws SaqrError DATA_ROW */
export function rowsOf(rows: unknown, source: string): readonly Row[] {
  if (!Array.isArray(rows)) throw new SaqrError('DATA_ROW', `${source}: rows are a list of objects, not ${shown(rows)}`)
  const wrong = rows.findIndex((row) => typeof row !== 'object' || row === null || Array.isArray(row))
  if (wrong === -1) return rows as readonly Row[]
  throw new SaqrError('DATA_ROW', `${source}, row ${wrong + 1}: a row is an object from column to value, not ${shown(rows[wrong])}`)
}

/** @throws SaqrError OPTION_INVALID */
export function indices(given: unknown, rows: number): number[] {
  if (given === null || typeof given !== 'object' || !(Symbol.iterator in given))
    throw new SaqrError('OPTION_INVALID', `select takes a list of row numbers (from 0), not ${shown(given)}`)
  const list = [...(given as Iterable<unknown>)]
  const wrong = list.findIndex((i) => !Number.isSafeInteger(i) || (i as number) >= rows || (i as number) < 0)
  if (wrong !== -1) throw new SaqrError('OPTION_INVALID', `select: there is no row ${shown(list[wrong])} in ${rows} rows (numbers from 0)`)
  return list as number[]
}

/** Columns by name. @throws SaqrError OPTION_INVALID, DATA_COLUMNS for one that is not there */
export function columnList(given: unknown, there: readonly string[], source: string): string[] {
  const list = typeof given === 'string' ? [given] : given
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string'))
    throw new SaqrError('OPTION_INVALID', `columns are a name or a list of names, not ${shown(given)}`)
  const missing = list.find((one) => !there.includes(one))
  if (missing === undefined) return list
  throw new SaqrError('DATA_COLUMNS', `${source} has no column ${missing}; it has ${there.join(', ') || 'none'}`)
}
