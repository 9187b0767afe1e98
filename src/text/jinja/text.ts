/** Values as text: Python's str() and repr(), and json.dumps as transformers' `tojson` calls it. */
import { pythonFloat } from '../../hub/json.ts'
import {
  Dict,
  defined,
  described,
  equal,
  fail,
  Iterator,
  isNumber,
  Markup,
  numeric,
  Range,
  Tuple,
  Undefined,
  type Value,
} from './values.ts'

/** Python's str() */
export function str(x: Value): string {
  if (typeof x === 'string') return x
  if (x instanceof Undefined) return ''
  if (x instanceof Markup) return x.text
  return repr(x)
}

/** Python's repr() */
export function repr(x: Value): string {
  if (x === null) return 'None'
  if (typeof x === 'boolean') return x ? 'True' : 'False'
  if (typeof x === 'bigint') return String(x)
  if (typeof x === 'number') return reprFloat(x)
  if (typeof x === 'string') return reprString(x)
  if (x instanceof Undefined) return 'Undefined'
  if (Array.isArray(x)) return `[${x.map(repr).join(', ')}]`
  if (x instanceof Tuple) return x.items.length === 1 ? `(${repr(x.items[0]!)},)` : `(${x.items.map(repr).join(', ')})`
  if (x instanceof Dict)
    return `{${x
      .entries()
      .map(([key, value]) => `${repr(key)}: ${repr(value)}`)
      .join(', ')}}`
  if (x instanceof Range) return `range(${x.start}, ${x.stop}${x.step === 1n ? '' : `, ${x.step}`})`
  if (x instanceof Iterator && x.isView) return `${x.kind}(${repr([...x.take()])})`
  return fail(`the template prints ${described(x)}`)
}

/** Python's repr of a float */
export function reprFloat(x: number): string {
  if (Number.isNaN(x)) return 'nan'
  return Number.isFinite(x) ? pythonFloat(x) : x > 0 ? 'inf' : '-inf'
}

/** what Python does not print as it is: controls, formats, surrogates, private and unassigned characters, white space but the space */
const unprintable = /[\p{C}\p{Zl}\p{Zp}\p{Zs}]/u

function reprString(s: string): string {
  const quote = s.includes("'") && !s.includes('"') ? '"' : "'"
  let text = ''
  for (const c of s) {
    const code = c.codePointAt(0)!
    if (c === quote || c === '\\') text += `\\${c}`
    else if (c === '\n' || c === '\r' || c === '\t') text += { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[c]
    else if (c === ' ' || !unprintable.test(c)) text += c
    else if (code < 0x100) text += `\\x${code.toString(16).padStart(2, '0')}`
    else text += code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`
  }
  return quote + text + quote
}

export interface JsonOptions {
  ensureAscii: boolean
  /** what a level is indented by; null: all in one line */
  indent: string | null
  separators: [string, string]
  sortKeys: boolean
  order: (a: Value, b: Value) => number
}

/** Python's json.dumps */
export function dumps(x: Value, options: JsonOptions, level = 0): string {
  if (x === null) return 'null'
  if (typeof x === 'boolean') return String(x)
  if (typeof x === 'bigint') return String(x)
  if (typeof x === 'number') return pythonFloat(x)
  if (typeof x === 'string' || x instanceof Markup) return jsonString(str(x), options.ensureAscii)
  if (Array.isArray(x) || x instanceof Tuple) {
    const items = Array.isArray(x) ? x : x.items
    return wrapped(
      '[',
      items.map((item) => dumps(item, options, level + 1)),
      ']',
      options,
      level,
    )
  }
  if (x instanceof Dict) {
    const entries = x.entries()
    if (options.sortKeys) entries.sort(([a], [b]) => (equal(a, b) ? 0 : options.order(a, b)))
    const one = ([key, value]: [Value, Value]) =>
      jsonString(jsonKey(key), options.ensureAscii) + options.separators[1] + dumps(value, options, level + 1)
    return wrapped('{', entries.map(one), '}', options, level)
  }
  return fail(`${described(defined(x))} can't be written as JSON`)
}

function wrapped(open: string, items: string[], close: string, { indent, separators }: JsonOptions, level: number): string {
  if (items.length === 0) return open + close
  if (indent === null) return open + items.join(separators[0]) + close
  const line = `\n${indent.repeat(level + 1)}`
  return `${open}${line}${items.join(separators[0] + line)}\n${indent.repeat(level)}${close}`
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key
  if (key === null) return 'null'
  if (typeof key === 'boolean') return String(key)
  if (!isNumber(key)) return fail(`${described(key)} can't be a key in JSON`)
  const n = numeric(key)
  return typeof n === 'bigint' ? String(n) : pythonFloat(n)
}

const short: Record<string, string> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\f': '\\f', '\b': '\\b' }

function jsonString(s: string, ensureAscii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what JSON escapes
  const escaped = ensureAscii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g
  return `"${s.replace(escaped, (c) => short[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`
}
