/** How templates write values of a row that are no texts. */
import { toValue } from './convert.ts'
import { repr } from './text.ts'
import { Dict, isNumber, type Value } from './values.ts'

/** As Python does: what comes of a list or an object that is taken for a text. */
export const asPython = (value: unknown): string => repr(toValue(value))

/** Texts and numbers within a value, as they are printed. */
export function scalarsOf(value: unknown): string[] {
  const within = (x: Value): string[] => {
    if (typeof x === 'string') return [x]
    if (Array.isArray(x)) return x.flatMap(within)
    if (x instanceof Dict) return x.values().flatMap(within)
    return isNumber(x) && typeof x !== 'boolean' ? [repr(x)] : []
  }
  return within(toValue(value))
}
