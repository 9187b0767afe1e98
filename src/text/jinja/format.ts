/** Python's `'…' % values` and `'…'.format(values)`, as far as templates go. */
import { repr, reprFloat, str } from './text.ts'
import {
  type CallArgs,
  codePoints,
  Dict,
  defined,
  described,
  fail,
  isNumber,
  joined,
  numeric,
  Range,
  Tuple,
  Undefined,
  type Value,
} from './values.ts'

export function percentFormat(format: string, values: Value): string {
  const items = values instanceof Tuple ? [...values.items] : [values]
  let next = 0
  const take = (): Value => (next < items.length ? items[next++]! : fail('there are fewer values than the format asks for'))
  const text = format.replace(
    /%(?:\(([^)]*)\))?([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?([a-zA-Z%])|%/g,
    (whole, key: string | undefined, flags: string | undefined, width: string, precision: string, type: string) => {
      if (type === '%') return '%'
      if (type === undefined) return fail('a format ends in %')
      const size = (s: string | undefined) => (s === '*' ? Number(take()) : s === undefined ? undefined : Number(s))
      const [w, p] = [size(width), size(precision)]
      const value =
        key === undefined
          ? take()
          : values instanceof Dict
            ? (values.get(key) ?? fail(`the format's ${key} is not given`))
            : fail('the format needs a mapping')
      const body = percentOne(type, value, p, flags!, whole)
      return padded(
        body,
        w ?? 0,
        flags!.includes('-') ? '<' : flags!.includes('0') && isNumber(value) ? '=' : '>',
        flags!.includes('0') && !flags!.includes('-') && isNumber(value) ? '0' : ' ',
      )
    },
  )
  // a list or a mapping may be looked into, so Python lets it be
  const mayBeLeft = values instanceof Dict || values instanceof Undefined || values instanceof Range || Array.isArray(values)
  if (next < items.length && !mayBeLeft) return fail('there are more values than the format asks for')
  return text
}

function percentOne(type: string, value: Value, precision: number | undefined, flags: string, whole: string): string {
  switch (type) {
    case 's':
      return cutTo(str(value), precision)
    case 'r':
      return cutTo(repr(value), precision)
    case 'c':
      if (typeof value === 'string' && [...value].length === 1) return value
      return typeof value === 'bigint' ? String.fromCodePoint(Number(value)) : fail(`${described(defined(value))} is no single character`)
    case 'd':
    case 'i':
    case 'u':
      return signed(wholeAs(wholeOf(value), 10, precision), flags)
    case 'x':
    case 'X':
    case 'o': {
      if (typeof value === 'number') return fail(`a float can not be formatted by ${type}`)
      const text = wholeAs(wholeOf(value), type === 'o' ? 8 : 16, precision, flags.includes('#') ? `0${type.toLowerCase()}` : '')
      return signed(type === 'X' ? text.toUpperCase() : text, flags)
    }
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
      return signed(floatAs(type, float(value), precision ?? 6), flags)
    default:
      return fail(`the format ${whole} is not supported`)
  }
}

const cutTo = (text: string, length: number | undefined) => (length === undefined ? text : joined(codePoints(text).slice(0, length)))

/** with as many digits as the precision asks for */
function wholeAs(n: bigint, base: number, precision = 1, prefix = ''): string {
  const digits = (n < 0n ? -n : n).toString(base).padStart(precision, '0')
  return (n < 0n ? '-' : '') + prefix + digits
}

const signed = (text: string, flags: string) =>
  text.startsWith('-') ? text : flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text

function wholeOf(x: Value): bigint {
  if (!isNumber(x)) return fail(`${described(defined(x))} can't be formatted as a number`)
  const n = numeric(x)
  return typeof n === 'bigint' ? n : BigInt(Math.trunc(n))
}

const float = (x: Value): number => (isNumber(x) ? Number(numeric(x)) : fail(`${described(defined(x))} can't be formatted as a number`))

const twoDigits = (text: string) => text.replace(/e([-+])(\d)$/, 'e$10$2')

function floatAs(type: string, x: number, precision: number): string {
  const upper = type === type.toUpperCase()
  const cased = (text: string) => (upper ? text.toUpperCase() : text)
  if (!Number.isFinite(x)) return cased(Number.isNaN(x) ? 'nan' : x > 0 ? 'inf' : '-inf')
  if (type === 'f' || type === 'F') return Math.abs(x) < 1e21 ? roundedFixed(x, precision) : fail('a number this large is not formatted')
  if (type === 'e' || type === 'E') return cased(twoDigits(x.toExponential(precision)))
  const digits = precision === 0 ? 1 : precision
  const exponent = x === 0 ? 0 : Number(/e(.*)$/.exec(x.toExponential(digits - 1))![1])
  const strip = (text: string) => text.replace(/(\.\d*?)0+(?=e|$)/, '$1').replace(/\.(?=e|$)/, '')
  if (exponent < -4 || exponent >= digits) return cased(twoDigits(strip(x.toExponential(digits - 1))))
  return strip(roundedFixed(x, digits - 1 - exponent))
}

/** Exact decimal places of the binary number, half to even, as C prints them; JavaScript's toFixed rounds half up. */
export function roundedFixed(x: number, places: number): string {
  const negative = x < 0 || Object.is(x, -0)
  let numerator = BigInt(0)
  let denominator = 1n
  let rest = Math.abs(x)
  while (!Number.isInteger(rest)) {
    rest *= 2
    denominator *= 2n
  }
  numerator = BigInt(rest) * 10n ** BigInt(places)
  let units = numerator / denominator
  const twice = (numerator % denominator) * 2n
  if (twice > denominator || (twice === denominator && units % 2n === 1n)) units++
  const digits = String(units).padStart(places + 1, '0')
  const text = places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`
  return negative ? `-${text}` : text
}

function padded(text: string, width: number, align: string, fill: string): string {
  const missing = width - [...text].length
  if (missing <= 0) return text
  if (align === '<') return text + fill.repeat(missing)
  if (align === '^') return fill.repeat(Math.floor(missing / 2)) + text + fill.repeat(Math.ceil(missing / 2))
  const sign = align === '=' ? /^[-+ ]?(?:0[xXo])?/.exec(text)![0] : ''
  return sign + fill.repeat(missing) + text.slice(sign.length)
}

type Look = (of: Value, name: Value, isKey: boolean) => Value

/** `'{} {0} {name.field[key]:>8}'.format(…)` */
export function braceFormat(format: string, args: CallArgs, look: Look): string {
  let next = 0
  let numbered: boolean | undefined
  const text = format.replace(
    /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g,
    (whole, field: string | undefined, conversion: string, spec = '') => {
      if (whole === '{{' || whole === '}}') return whole[0]!
      if (field === undefined) return fail(`the format ${JSON.stringify(format)} has a single or nested brace`)
      const [, name = '', path = ''] = /^([^.[]*)(.*)$/s.exec(field)!
      const byNumber = /^\d+$/.test(name)
      if (name === '' || byNumber) {
        if (numbered !== undefined && numbered !== byNumber) fail('a format numbers some fields and not others')
        numbered = byNumber
      }
      const position = name === '' ? next++ : byNumber ? Number(name) : undefined
      let value = position === undefined ? args.named.get(name) : args.positional[position]
      if (value === undefined) return fail(`the format's ${field || position} is not given`)
      for (const [, attribute, key] of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
        value = look(value, attribute ?? (/^\d+$/.test(key!) ? BigInt(key!) : key!), attribute === undefined)
      if (conversion === 'r') value = repr(value)
      else if (conversion === 's') value = str(value)
      else if (conversion === 'a') return fail('the conversion !a is not supported')
      return formatOne(value, spec)
    },
  )
  return text
}

function formatOne(value: Value, spec: string): string {
  const [, fillAlign = '', sign = '', alternate, zero, width = '0', grouping = '', precision, type = ''] =
    /^((?:.?[<>=^])?)([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/su.exec(spec) ?? fail(`the format ${spec} is not supported`)
  if (alternate) return fail(`the format ${spec} is not supported`)
  const isNumeric = isNumber(value) && (typeof value !== 'boolean' || type !== '')
  let text = isNumeric
    ? formatNumber(value, type, precision === undefined ? undefined : Number(precision), spec)
    : formatText(value, type, precision)
  if (isNumeric) text = signed(grouping ? grouped(text, grouping) : text, sign)
  const align = fillAlign === '' ? (isNumeric ? (zero ? '=' : '>') : '<') : [...fillAlign].at(-1)!
  const fill = [...fillAlign].length > 1 ? [...fillAlign][0]! : zero ? '0' : ' '
  return padded(text, Number(width || 0), align, fill)
}

function formatText(value: Value, type: string, precision: string | undefined): string {
  if (type !== '' && type !== 's') return fail(`${described(value)} can't be formatted by ${type}`)
  const text = str(value)
  return precision === undefined ? text : [...text].slice(0, Number(precision)).join('')
}

function formatNumber(value: boolean | bigint | number, type: string, precision: number | undefined, spec: string): string {
  const n = numeric(value)
  switch (type) {
    case '':
      if (typeof n === 'bigint') return String(n)
      return precision === undefined ? reprFloat(n) : fail(`the format ${spec} is not supported`)
    case 'd':
      return typeof n === 'bigint' ? String(n) : fail('a float can not be formatted by d')
    case 'x':
    case 'X':
    case 'o':
    case 'b': {
      if (typeof n !== 'bigint') return fail(`a float can not be formatted by ${type}`)
      const text = n.toString({ x: 16, X: 16, o: 8, b: 2 }[type])
      return type === 'X' ? text.toUpperCase() : text
    }
    case '%':
      return `${roundedFixed(Number(n) * 100, precision ?? 6)}%`
    default:
      if (!'fFeEgG'.includes(type)) return fail(`the format ${spec} is not supported`)
      return floatAs(type, Number(n), precision ?? 6)
  }
}

const grouped = (text: string, by: string) =>
  text.replace(/^(-?)(\d+)/, (_, sign: string, digits: string) => sign + digits.replace(/\B(?=(\d{3})+$)/g, by))
