/** A row as it goes to another thread, which has the same row then: as it is where it is made of texts, else as JSON. */
import { Float, isObject, parseJson, stringifyJson } from '../formats/json.ts'
import { exactEntries, exactItems } from '../hub/json-exact.ts'
import type { Row } from './rows.ts'

export interface Carried {
  as: Row | string
  /** at least */
  characters: number
}

/** null: the row holds what JSON has no word for (a date, undefined, −0, an object of a class) */
export function carried(row: Row): Carried | null {
  const characters = charactersOf(row)
  if (characters !== null) return { as: row, characters }
  if (!isPortable(row, row)) return null
  const text = stringifyJson(row, { ascii: false })
  return { as: text, characters: text.length }
}

export const carriedRow = (as: Row | string): Row => (typeof as === 'string' ? (parseJson(as, '', { exact: true }) as Row) : as)

/** Of a value whose copy is all that is known of it: texts, in lists and objects whose keys no number could be; null: it is another. */
function charactersOf(value: unknown): number | null {
  if (typeof value === 'string') return value.length
  if (value === null || typeof value === 'boolean') return 1
  let sum = 0
  if (Array.isArray(value)) {
    for (const item of value) {
      const one = charactersOf(item)
      if (one === null) return null
      sum += one
    }
    return sum
  }
  if (!isPlain(value)) return null
  for (const key of Object.keys(value)) {
    const first = key.charCodeAt(0)
    const one = first >= 48 && first <= 57 ? null : charactersOf(value[key])
    if (one === null) return null
    sum += one
  }
  return sum
}

/** @param exact what is known of it beyond its value */
function isPortable(value: unknown, exact: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return !isMoreThanItsDigits(value) || exact instanceof Float || typeof exact === 'bigint'
  if (Array.isArray(value)) return exactItems(value).every((item, i) => isPortable(value[i], item))
  return isPlain(value) && exactEntries(value).every(([key, item]) => isPortable(value[key], item))
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Read again it would be known as a float, or lose its sign. */
const isMoreThanItsDigits = (n: number) => Object.is(n, -0) || (Number.isInteger(n) && !Number.isSafeInteger(n))
