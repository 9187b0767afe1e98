/** Filters of a single text or number. */
import { take } from './arguments.ts'
import { numeral } from './digits.ts'
import { roundedFixed } from './format.ts'
import { lines } from './methods.ts'
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
  if (typeof n === 'bigint') return places >= 0 ? n : roundedTo(n, 10n ** BigInt(-places))
  return places >= 0 ? Number(roundedFixed(n, places)) : Number(roundedFixed(n / 10 ** -places, 0)) * 10 ** -places
}

/** to the nearest multiple, of two the even one */
function roundedTo(n: bigint, unit: bigint): bigint {
  const rest = ((n % unit) + unit) % unit
  const below = (n - rest) / unit
  const up = rest * 2n > unit || (rest * 2n === unit && below % 2n !== 0n)
  return (below + (up ? 1n : 0n)) * unit
}

export function toInt(of: Value, args: CallArgs): Value {
  const [fallback = 0n, base = 10n] = take(args, 'int', 'default?', 'base?')
  defined(of)
  if (typeof of !== 'string') return isNumber(of) ? (truncated(numeric(of)) ?? fallback) : fallback
  const n = wholeNumber(of, toIndex(base)) ?? parseFloatText(of)
  return (n === undefined ? undefined : truncated(n)) ?? fallback
}

/** undefined for infinity and NaN */
const truncated = (n: bigint | number) => (typeof n === 'bigint' ? n : Number.isFinite(n) ? BigInt(Math.trunc(n)) : undefined)

/** Python's int() of a text; undefined where it fails. Base 0 goes by the prefix. */
function wholeNumber(text: string, base: number): bigint | undefined {
  const [, sign, prefix = '', digits = ''] = /^([-+]?)(0[xob]_?)?(\w+)$/.exec(numeral(text).toLowerCase()) ?? []
  const named = { '0x': 16, '0o': 8, '0b': 2 }[prefix.slice(0, 2)]
  if (base < 0 || base === 1 || base > 36) return undefined
  const has = named !== undefined && (base === 0 || base === named)
  const by = has ? named : base || 10
  const written = has ? digits : prefix + digits
  if (!/^[\da-z]+(_[\da-z]+)*$/.test(written) || (base === 0 && !has && /^0[0_]*[1-9]/.test(written))) return undefined
  let n = 0n
  for (const c of written.replaceAll('_', '')) {
    const digit = Number.parseInt(c, 36)
    if (digit >= by) return undefined
    n = n * BigInt(by) + BigInt(digit)
  }
  return sign === '-' ? -n : n
}

export function parseFloatText(text: string): number | undefined {
  const trimmed = numeral(text).toLowerCase()
  const special = /^([-+]?)(inf|infinity|nan)$/.exec(trimmed)
  if (special) return special[2] === 'nan' ? Number.NaN : special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const digits = String.raw`\d(?:_?\d)*`
  return new RegExp(`^[-+]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[-+]?${digits})?$`).test(trimmed)
    ? Number(trimmed.replaceAll('_', ''))
    : undefined
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

export const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('>', '&gt;').replaceAll('<', '&lt;').replaceAll("'", '&#39;').replaceAll('"', '&#34;')
