/** A row as a text that another thread makes the same row of. */
import { Float, isObject, stringifyJson } from '../formats/json.ts'
import { exactEntries, exactItems } from '../hub/json-exact.ts'
import type { Row } from './rows.ts'

/** null: the row holds what JSON has no word for (a date, undefined, −0, an object of a class) */
export const writtenRow = (row: Row): string | null => (isPortable(row, row) ? stringifyJson(row, { ascii: false }) : null)

/** @param exact what is known of it beyond its value */
function isPortable(value: unknown, exact: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return !isMoreThanItsDigits(value) || exact instanceof Float || typeof exact === 'bigint'
  if (Array.isArray(value)) return exactItems(value).every((item, i) => isPortable(value[i], item))
  if (!isObject(value)) return false
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  return exactEntries(value).every(([key, item]) => isPortable(value[key], item))
}

/** Read again it would be known as a float, or lose its sign. */
const isMoreThanItsDigits = (n: number) => Object.is(n, -0) || (Number.isInteger(n) && !Number.isSafeInteger(n))
