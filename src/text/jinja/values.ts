/** The values a template computes with: Python's. Integers are bigint, floats are number; a list is an array. */
import { TemplateError } from './error.ts'

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Tuple
  | Dict
  | Range
  | Iterator
  | Namespace
  | Markup
  | Undefined
  | Callable

/** What a name, key or attribute that isn't there gives: prints nothing, has no items, and is an error in any computation. */
export class Undefined {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }
}

export class Tuple {
  readonly items: readonly Value[]
  /** by which its items are attributes too (a group's `grouper` and `list`) */
  readonly names?: readonly string[]
  constructor(items: readonly Value[], names?: readonly string[]) {
    this.items = items
    this.names = names
  }
}

/** A mapping in order of insertion; keys are one where Python's are (1, 1.0 and true). */
export class Dict {
  readonly #entries = new Map<string, [Value, Value]>()

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value)
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hash(key))?.[1]
  }

  set(key: Value, value: Value): void {
    const id = hash(key)
    const known = this.#entries.get(id)
    this.#entries.set(id, [known ? known[0] : key, value])
  }

  entries(): [Value, Value][] {
    return [...this.#entries.values()]
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key)
  }

  values(): Value[] {
    return this.entries().map(([, value]) => value)
  }
}

export class Range {
  readonly start: bigint
  readonly stop: bigint
  readonly step: bigint
  readonly items: Value[] = []

  constructor(start: bigint, stop: bigint, step: bigint) {
    this.start = start
    this.stop = stop
    this.step = step
    if (step === 0n) throw new TemplateError('range() must not have a step of zero')
    for (let i = start; step > 0n ? i < stop : i > stop; i += step) {
      if (this.items.push(i) > 100_000) throw new TemplateError('range() is longer than 100000 numbers')
    }
  }
}

/**
 * What map, select and their like give: items to go through once, made when they are asked for, without length or index. Or a mapping's
 * view of its items.
 */
export class Iterator {
  readonly kind: string
  #make: () => readonly Value[]

  constructor(make: () => readonly Value[], kind = 'generator') {
    this.#make = make
    this.kind = kind
  }

  get isView(): boolean {
    return this.kind !== 'generator'
  }

  take(): readonly Value[] {
    const items = this.#make()
    if (!this.isView) this.#make = () => []
    return items
  }
}

export class Namespace {
  readonly fields = new Map<string, Value>()
}

/** A string that is escaped already; it is only printed. */
export class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export interface CallArgs {
  positional: Value[]
  named: Map<string, Value>
}

/** A function, method or macro. */
export class Callable {
  readonly name: string
  readonly call: (args: CallArgs) => Value
  /** attributes, as those of `loop` */
  readonly fields?: ReadonlyMap<string, Value>

  constructor(name: string, call: (args: CallArgs) => Value, fields?: ReadonlyMap<string, Value>) {
    this.name = name
    this.call = call
    this.fields = fields
  }
}

/** Python's name of a value's type */
export function typeName(x: Value): string {
  if (x === null) return 'NoneType'
  if (Array.isArray(x)) return 'list'
  if (x instanceof Tuple) return 'tuple'
  if (x instanceof Dict) return 'dict'
  if (x instanceof Range) return 'range'
  if (x instanceof Iterator) return x.kind
  if (x instanceof Namespace) return 'Namespace'
  if (x instanceof Markup) return 'Markup'
  if (x instanceof Undefined) return 'Undefined'
  if (x instanceof Callable) return 'function'
  return { boolean: 'bool', bigint: 'int', number: 'float', string: 'str' }[typeof x as string]!
}

/** with its article, for messages */
export const described = (x: Value): string => (/^[aeiouU]/.test(typeName(x)) ? `an ${typeName(x)}` : `a ${typeName(x)}`)

export const isNumber = (x: Value): x is boolean | bigint | number =>
  typeof x === 'boolean' || typeof x === 'bigint' || typeof x === 'number'

export function fail(why: string): never {
  throw new TemplateError(why)
}

/** @throws TemplateError for an undefined value */
export function defined<T extends Value>(x: T | Undefined): T {
  return x instanceof Undefined ? fail(`${x.what} is undefined`) : (x as T)
}

export function truth(x: Value): boolean {
  if (x === null || x instanceof Undefined) return false
  if (typeof x === 'boolean') return x
  if (isNumber(x)) return x !== 0 && x !== 0n
  if (typeof x === 'string') return x !== ''
  if (x instanceof Markup) return x.text !== ''
  if (Array.isArray(x)) return x.length > 0
  if (x instanceof Dict) return x.size > 0
  if (x instanceof Tuple || x instanceof Range) return x.items.length > 0
  return x instanceof Iterator && x.isView ? x.take().length > 0 : true
}

/** bool as int */
export const numeric = (x: boolean | bigint | number): bigint | number => (typeof x === 'boolean' ? (x ? 1n : 0n) : x)

/** equal keys of a mapping have equal texts */
function hash(key: Value): string {
  if (typeof key === 'string') return `s${key}`
  if (key === null) return 'none'
  if (isNumber(key)) {
    const n = numeric(key)
    return typeof n === 'number' && Number.isInteger(n) ? `n${BigInt(n)}` : `n${n}`
  }
  if (key instanceof Undefined) return 'undefined'
  if (key instanceof Tuple) return `t${key.items.map((item) => `${hash(item).length}:${hash(item)}`).join()}`
  return fail(`${described(key)} can't be a key`)
}

export function equal(a: Value, b: Value): boolean {
  if (a === b) return true
  // biome-ignore lint/suspicious/noDoubleEquals: an int and a float are compared exactly this way
  if (isNumber(a) && isNumber(b)) return numeric(a) == numeric(b)
  if (a instanceof Undefined) return b instanceof Undefined
  if (a instanceof Markup || b instanceof Markup) return textOf(a) !== undefined && textOf(a) === textOf(b)
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b)
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items)
  if (a instanceof Range) return b instanceof Range && sameItems(a.items, b.items)
  if (!(a instanceof Dict) || !(b instanceof Dict) || a.size !== b.size) return false
  return a.entries().every(([key, value]) => {
    const other = b.get(key)
    return other !== undefined && equal(value, other)
  })
}

const textOf = (x: Value) => (x instanceof Markup ? x.text : typeof x === 'string' ? x : undefined)

const sameItems = (a: readonly Value[], b: readonly Value[]) => a.length === b.length && a.every((item, i) => equal(item, b[i]!))

/** Negative, zero or positive as `a` stands before, at or after `b`; NaN where a number is none. @throws TemplateError where the types have no order */
export function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [numeric(a), numeric(b)]
    return x < y ? -1 : x > y ? 1 : Number.isNaN(x) || Number.isNaN(y) ? Number.NaN : 0
  }
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  const lists = Array.isArray(a) && Array.isArray(b) ? [a, b] : a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : undefined
  if (!lists) return fail(`${described(defined(a))} can't be compared with ${described(defined(b))}`)
  const [x, y] = lists as [readonly Value[], readonly Value[]]
  const at = x.findIndex((item, i) => i >= y.length || !equal(item, y[i]!))
  return at === -1 ? x.length - y.length : at >= y.length ? 1 : compare(x[at]!, y[at]!)
}

/** by code points, which UTF-16 does not keep */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    if (a[i] === b[i]) continue
    const from = i > 0 && isLow(a, i) && isLow(b, i) ? i - 1 : i
    return a.codePointAt(from)! - b.codePointAt(from)!
  }
  return a.length - b.length
}

const isLow = (s: string, i: number) => (s.charCodeAt(i) & 0xfc00) === 0xdc00

/** What `for` goes through. @throws TemplateError */
export function iterate(x: Value): readonly Value[] {
  if (Array.isArray(x)) return x
  if (typeof x === 'string') return [...x]
  if (x instanceof Tuple || x instanceof Range) return x.items
  if (x instanceof Dict) return x.keys()
  if (x instanceof Iterator) return x.take()
  if (x instanceof Undefined) return []
  return fail(`${described(x)} is not iterable`)
}

/** Python's len(). @throws TemplateError */
export function length(x: Value): number {
  if (typeof x === 'string' || x instanceof Markup) return codePoints(textOf(x)!).length
  if (Array.isArray(x)) return x.length
  if (x instanceof Dict) return x.size
  if (x instanceof Tuple || x instanceof Range) return x.items.length
  if (x instanceof Undefined) return 0
  if (x instanceof Iterator && x.isView) return x.take().length
  return fail(`${described(x)} has no length`)
}

const surrogate = /[\uD800-\uDFFF]/

/** The characters as Python counts them. */
export const codePoints = (s: string): ArrayLike<string> & { slice(from?: number, to?: number): string | string[] } =>
  surrogate.test(s) ? [...s] : s

export const joined = (characters: string | string[]): string => (typeof characters === 'string' ? characters : characters.join(''))

/** A whole number that an index or a count can be. */
export function toIndex(x: Value): number {
  if (typeof x === 'bigint') return Number(x)
  if (typeof x === 'boolean') return x ? 1 : 0
  return fail(`${described(defined(x))} can't be taken for an integer`)
}
