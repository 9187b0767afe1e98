/** JavaScript's values, as rows hold them, to the template's: numbers as JSON or Parquet said them, keys in the order of the file. */
import { Float } from '../../hub/json.ts'
import { exactEntries, exactItems } from '../../hub/json-exact.ts'
import { Dict, type Value } from './values.ts'

export function toValue(x: unknown): Value {
  if (x === null || x === undefined) return null
  switch (typeof x) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return x
    case 'number':
      return Number.isSafeInteger(x) && !Object.is(x, -0) ? BigInt(x) : x
    case 'object':
      if (x instanceof Float) return x.value
      if (Array.isArray(x)) return exactItems(x).map(toValue)
      if (isPlain(x)) return new Dict(exactEntries(x).map(([key, value]) => [key, toValue(value)]))
  }
  // as transformers: what is no plain data is only named
  return `<${(x as object).constructor?.name ?? typeof x}>`
}

function isPlain(x: object): x is Record<string, unknown> {
  const prototype = Object.getPrototypeOf(x)
  return prototype === Object.prototype || prototype === null
}
