/** Filters of a single text or number. */
import { take } from './arguments.ts'
import { roundedFixed } from './format.ts'
import { lines, strip } from './methods.ts'
import { str } from './text.ts'
import {
  type CallArgs,
  codePoints,
  defined,
  described,
  fail,
  isNumber,
  joined,
  length,
  numeric,
  toIndex,
  truth,
  type Value,
} from './values.ts'

const flag = (x: Value | undefined, fallback = false) => (x === undefined ? fallback : truth(x))

export function round(of: Value, args: CallArgs): Value {
  const [precision = 0n, method = 'common'] = take(args, 'round', 'precision?', 'method?')
  if (!isNumber(defined(of))) return fail(`${described(of)} can't be rounded`)
  const n = numeric(of as number)
  const places = toIndex(precision)
  if (method === 'ceil' || method === 'floor') return (method === 'ceil' ? Math.ceil : Math.floor)(Number(n) * 10 ** places) / 10 ** places
  if (method !== 'common') return fail('round knows common, ceil and floor')
  if (typeof n === 'bigint') return places >= 0 ? n : fail('round of an integer to tens is not supported')
  return places >= 0 ? Number(roundedFixed(n, places)) : Number(roundedFixed(n / 10 ** -places, 0)) * 10 ** -places
}

const wholeNumber = /^\s*[-+]?\d(?:_?\d)*\s*$/

export function toInt(of: Value, args: CallArgs): Value {
  const [fallback = 0n, base = 10n] = take(args, 'int', 'default?', 'base?')
  defined(of)
  if (isNumber(of)) {
    const n = numeric(of)
    return typeof n === 'bigint' ? n : Number.isFinite(n) ? BigInt(Math.trunc(n)) : Number.isNaN(n) ? fallback : fallback
  }
  if (typeof of !== 'string') return fallback
  if (base !== 10n) return fail('int with a base is not supported')
  if (wholeNumber.test(of))
    return BigInt(
      of
        .replaceAll('_', '')
        .trim()
        .replace(/^\+/, '')
        .replace(/^-(\d+)$/, '-$1'),
    )
  const n = parseFloatText(of)
  return n === undefined || !Number.isFinite(n) ? fallback : BigInt(Math.trunc(n))
}

export function parseFloatText(text: string): number | undefined {
  const trimmed = strip(text, undefined, true, true).toLowerCase()
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(trimmed)
  if (special) return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  return /^[-+]?(\d(_?\d)*\.?(\d(_?\d)*)?|\.\d(_?\d)*)(e[-+]?\d+)?$/.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : undefined
}

export function indent(of: Value, args: CallArgs): Value {
  const [width = 4n, first, blank] = take(args, 'indent', 'width?', 'first?', 'blank?')
  const by = typeof width === 'string' ? width : ' '.repeat(toIndex(width))
  if (typeof of !== 'string') return fail(`${described(defined(of))} can't be indented`)
  const [start = '', ...more] = lines(`${of}\n`, false)
  const rest = more.map((line) => (flag(blank) || line !== '' ? by + line : line))
  return (flag(first) ? by : '') + [start, ...rest].join('\n')
}

export function truncate(of: Value, args: CallArgs): Value {
  const [size = 255n, kill, end = '...', leeway = 5n] = take(args, 'truncate', 'length?', 'killwords?', 'end?', 'leeway?')
  const [n, tail] = [toIndex(size), str(end)]
  if (length(of) <= n + toIndex(leeway)) return of
  if (typeof of !== 'string') return fail(`${described(of)} can't be truncated`)
  const characters = codePoints(of)
  const cut = joined(characters.slice(0, n - codePoints(tail).length))
  if (flag(kill)) return cut + tail
  const space = cut.lastIndexOf(' ')
  return (space === -1 ? cut : cut.slice(0, space)) + tail
}

export function title(of: Value): Value {
  return str(of)
    .split(/([-\s({[<]+)/)
    .filter((s) => s !== '')
    .map((s) => (s[0] ?? '').toUpperCase() + s.slice(1).toLowerCase())
    .join('')
}

export function replaced(text: string, from: string, to: string, most: Value | undefined): string {
  if (most === undefined || most === null) return text.replaceAll(from, () => to)
  const parts = text.split(from)
  const n = toIndex(most)
  return n < 0 ? parts.join(to) : parts.reduce((all, part, i) => (i === 0 ? part : all + (i <= n ? to : from) + part), '')
}

export const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('>', '&gt;').replaceAll('<', '&lt;').replaceAll("'", '&#39;').replaceAll('"', '&#34;')
