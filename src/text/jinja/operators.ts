/** Python's operators on values. */
import { percentFormat } from './format.ts'
import {
  Callable,
  codePoints,
  Dict,
  defined,
  described,
  equal,
  fail,
  isNumber,
  iterate,
  joined,
  Markup,
  Namespace,
  numeric,
  Range,
  Tuple,
  toIndex,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

export function binary(operator: string, a: Value, b: Value): Value {
  if (operator === '%' && typeof a === 'string') return percentFormat(a, b)
  defined(a)
  defined(b)
  if (isNumber(a) && isNumber(b)) return arithmetic(operator, numeric(a), numeric(b))
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') return a + b
    if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b]
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items])
  }
  if (operator === '*') {
    const [times, what] = isNumber(a) ? [a, b] : [b, a]
    if (typeof times !== 'number' && isNumber(times)) {
      const n = Math.max(0, toIndex(times))
      if (typeof what === 'string') return what.repeat(n)
      if (Array.isArray(what)) return Array.from({ length: n }, () => what).flat()
      if (what instanceof Tuple) return new Tuple(Array.from({ length: n }, () => what.items).flat())
    }
  }
  if (operator === '|' && a instanceof Dict && b instanceof Dict) return new Dict([...a.entries(), ...b.entries()])
  return fail(`${described(a)} and ${described(b)} can't be joined by ${operator}`)
}

function arithmetic(operator: string, a: bigint | number, b: bigint | number): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint' && operator !== '/') {
    switch (operator) {
      case '+':
        return a + b
      case '-':
        return a - b
      case '*':
        return a * b
      case '//':
        return (a - modulo(a, b)) / b
      case '%':
        return modulo(a, b)
      case '**':
        if (b >= 0n) return a ** b
    }
  }
  const [x, y] = [Number(a), Number(b)]
  switch (operator) {
    case '+':
      return x + y
    case '-':
      return x - y
    case '*':
      return x * y
    case '/':
      return y === 0 ? fail('division by zero') : typeof a === 'bigint' && typeof b === 'bigint' ? quotient(a, b) : x / y
    case '//':
      return y === 0 ? fail('division by zero') : floorDivision(x, y)
    case '%':
      return y === 0 ? fail('division by zero') : floorModulo(x, y)
    default:
      return power(x, y)
  }
}

const modulo = (a: bigint, b: bigint) => (b === 0n ? fail('division by zero') : ((a % b) + b) % b)

/** rounded once, however large the integers are */
function quotient(a: bigint, b: bigint): number {
  if (Number.isSafeInteger(Number(a)) && Number.isSafeInteger(Number(b))) return Number(a) / Number(b)
  const shift = BigInt(Math.max(0, 66 + b.toString(2).length - a.toString(2).length))
  const [scaled, rest] = [(a << shift) / b, (a << shift) % b]
  const sticky = rest === 0n || scaled & 1n ? scaled : scaled + (a < 0n !== b < 0n ? -1n : 1n)
  return Number(sticky) / 2 ** Number(shift)
}

/** has the divisor's sign */
function floorModulo(x: number, y: number): number {
  const rest = x % y
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest === 0 ? (y < 0 ? -0 : 0) : rest
}

/** from the remainder, as Python does it: the floor of the rounded quotient may be one off */
function floorDivision(x: number, y: number): number {
  const quotient = (x - floorModulo(x, y)) / y
  const floor = Math.floor(quotient)
  return quotient - floor > 0.5 ? floor + 1 : floor
}

function power(x: number, y: number): number {
  if (x === 0 && y < 0) return fail('zero to a negative power')
  if (x < 0 && !Number.isInteger(y)) return fail('a negative number to a power that is not whole')
  return x ** y
}

export function unary(operator: '-' | '+', x: Value): Value {
  defined(x)
  if (!isNumber(x)) return fail(`${described(x)} has no ${operator}`)
  const n = numeric(x)
  return operator === '-' ? -n : n
}

/** `a in b` */
export function contains(b: Value, a: Value): boolean {
  if (typeof b === 'string') return typeof a === 'string' ? b.includes(a) : fail(`${described(a)} can't be sought in a string`)
  if (b instanceof Dict) return b.get(a) !== undefined
  return iterate(b).some((item) => equal(item, a))
}

/** `of[key]`; undefined where there is none, as jinja2 looks things up (the attribute after the item). */
export function item(of: Value, key: Value, attribute: (of: Value, name: string) => Value | undefined): Value {
  defined(of)
  if (of instanceof Markup) return fail('an escaped or safe text is only printed: more is not supported')
  if (of instanceof Dict) {
    const found = isKey(key) ? of.get(key) : undefined
    if (found !== undefined) return found
  } else if (!(key instanceof Undefined) && (typeof key === 'bigint' || typeof key === 'boolean')) {
    const found = indexed(of, toIndex(key))
    if (found !== undefined) return found
  }
  const found = typeof key === 'string' ? attribute(of, key) : undefined
  return found ?? new Undefined(missing(of, key))
}

const isKey = (key: Value) => key === null || typeof key === 'string' || isNumber(key) || key instanceof Tuple

function indexed(of: Value, index: number): Value | undefined {
  const list =
    typeof of === 'string' ? codePoints(of) : Array.isArray(of) ? of : of instanceof Tuple || of instanceof Range ? of.items : undefined
  return list?.[index < 0 ? list.length + index : index]
}

export const missing = (of: Value, key: Value): string =>
  of instanceof Dict || of instanceof Namespace || of instanceof Callable
    ? `${JSON.stringify(String(key))} of the ${of instanceof Dict ? 'mapping' : typeName(of)}`
    : `element ${String(key)} of the ${typeName(of)}`

/** `of[start:stop:step]` */
export function slice(of: Value, start: Value, stop: Value, step: Value): Value {
  defined(of)
  const list =
    typeof of === 'string' ? codePoints(of) : Array.isArray(of) ? of : of instanceof Tuple || of instanceof Range ? of.items : undefined
  if (list === undefined) return fail(`${described(of)} can't be sliced`)
  const by = step === null ? 1 : toIndex(step)
  if (by === 0) return fail('a slice has a step of zero')
  const n = list.length
  const bound = (x: Value, fallback: number) => {
    if (x === null) return fallback
    const at = toIndex(x)
    return Math.min(Math.max(at < 0 ? at + n : at, by > 0 ? 0 : -1), by > 0 ? n : n - 1)
  }
  const [from, to] = [bound(start, by > 0 ? 0 : n - 1), bound(stop, by > 0 ? n : -1)]
  if (of instanceof Range) return new Range(of.start + BigInt(from) * of.step, of.start + BigInt(to) * of.step, of.step * BigInt(by))
  if (by === 1 && typeof of === 'string') return joined(codePoints(of).slice(from, Math.max(from, to)))
  const picked: Value[] = []
  for (let i = from; by > 0 ? i < to : i > to; i += by) picked.push(list[i]!)
  if (typeof of === 'string') return picked.join('')
  return Array.isArray(of) ? picked : new Tuple(picked)
}
