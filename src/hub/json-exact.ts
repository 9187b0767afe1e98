/**
 * JSON without losing what JavaScript's values can't hold. The values are those of JSON.parse; what they leave out is remembered beside
 * them: that a number was written as a float (20.0), the digits of an integer beyond 2^53, and the order of keys that look like integers.
 * As in Python, NaN, Infinity and -Infinity are numbers.
 */

import { Float } from './json.ts'

interface Facts {
  /** in the order of the file, where JavaScript has another */
  keys?: string[]
  numbers?: Map<string | number, Float | bigint>
}

const facts = new WeakMap<object, Facts>()

/** Remembers what the number under `key` of a list or an object is. */
export function rememberNumber(container: object, key: string | number, exact: Float | bigint): void {
  const known = facts.get(container) ?? {}
  known.numbers ??= new Map()
  known.numbers.set(key, exact)
  facts.set(container, known)
}

/** A number that has changed since is what it is now. */
function exact(container: object, key: string | number, value: unknown): unknown {
  const known = typeof value === 'number' ? facts.get(container)?.numbers?.get(key) : undefined
  if (known === undefined) return value
  const was = known instanceof Float ? known.value : Number(known)
  return was === value || Number.isNaN(value) ? known : value
}

/** Items of a list, numbers as `Float` or bigint where that is what was written. */
export const exactItems = (list: readonly unknown[]): unknown[] => list.map((item, i) => exact(list, i, item))

/** Entries of an object in the order they were written, numbers as of `exactItems`. */
export function exactEntries(object: Readonly<Record<string, unknown>>): [string, unknown][] {
  const own = Object.keys(object)
  const written = facts.get(object)?.keys
  const same = written?.length === own.length && written.every((key) => Object.hasOwn(object, key))
  return (same ? written : own).map((key) => [key, exact(object, key, object[key])])
}

/** A copy with other values under some keys (undefined: without them); what stays is still written as it was. */
export function withKeys(object: Readonly<Record<string, unknown>>, changes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  const given = exactEntries(changes)
  const kept = exactEntries(object).map(([key, value]) => [key, Object.hasOwn(changes, key) ? changes[key] : value] as const)
  for (const [key, value] of [...kept, ...given]) {
    if (value === undefined) continue
    copy[key] = value instanceof Float ? value.value : typeof value === 'bigint' ? Number(value) : value
    if (value instanceof Float || typeof value === 'bigint') rememberNumber(copy, key, value)
  }
  return copy
}

/** where JSON.parse may lose something: a float, a long integer, a key that looks like an integer */
const lossy = /\d[.eE]|-0|\d{16}|"\d+"\s*:/

/** @throws SyntaxError */
export function parseExactly(text: string): unknown {
  if (!lossy.test(text) && !/NaN|Infinity/.test(text)) return JSON.parse(text)
  return new Parser(text).whole()
}

const number = /-?(?:Infinity|(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?)|NaN/y
const literals: Record<string, unknown> = { true: true, false: false, null: null }

class Parser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): unknown {
    const value = this.#value(undefined, '')
    this.#space()
    if (this.#at < this.#text.length) this.#fail()
    return value
  }

  /** the message is JSON.parse's own where that fails too */
  #fail(): never {
    JSON.parse(this.#text.replaceAll(/-?\bInfinity\b|\bNaN\b/g, (word) => '0'.padEnd(word.length)))
    throw new SyntaxError(`Unexpected token at position ${this.#at}`)
  }

  #space(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.#at)
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return
      this.#at++
    }
  }

  /** `container` will hold the value under `key`. */
  #value(container: object | undefined, key: string | number): unknown {
    this.#space()
    const c = this.#text[this.#at]
    if (c === '"') return this.#string()
    if (c === '{') return this.#object()
    if (c === '[') return this.#list()
    if (c === 't' || c === 'f' || c === 'n') {
      const word = c === 'f' ? 'false' : c === 't' ? 'true' : 'null'
      if (!this.#text.startsWith(word, this.#at)) this.#fail()
      this.#at += word.length
      return literals[word]
    }
    return this.#number(container, key)
  }

  #number(container: object | undefined, key: string | number): number {
    number.lastIndex = this.#at
    const [text, fraction, exponent] = number.exec(this.#text) ?? this.#fail()
    this.#at += text.length
    const value = Number(text)
    const isFloat = fraction !== undefined || exponent !== undefined || !/\d/.test(text)
    if (container === undefined) return value
    if (isFloat) {
      if (Number.isInteger(value)) rememberNumber(container, key, new Float(value))
    } else if (!Number.isSafeInteger(value) || Object.is(value, -0)) rememberNumber(container, key, BigInt(text))
    return value
  }

  #string(): string {
    const from = this.#at
    for (let at = from + 1; ; at++) {
      const c = this.#text.charCodeAt(at)
      if (c === 34) {
        this.#at = at + 1
        return this.#text.slice(from + 1, at)
      }
      if (c === 92 || c < 32 || Number.isNaN(c)) break
    }
    // with escapes, or broken: JSON.parse says what it is
    let end = from + 1
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1
    if (end >= this.#text.length) this.#fail()
    this.#at = end + 1
    try {
      return JSON.parse(this.#text.slice(from, end + 1)) as string
    } catch {
      return this.#fail()
    }
  }

  #list(): unknown[] {
    const list: unknown[] = []
    this.#at++
    this.#space()
    if (this.#text[this.#at] === ']') {
      this.#at++
      return list
    }
    for (;;) {
      list.push(this.#value(list, list.length))
      if (this.#separator(']')) return list
    }
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    const keys = new Set<string>()
    this.#at++
    this.#space()
    if (this.#text[this.#at] === '}') {
      this.#at++
      return object
    }
    for (;;) {
      this.#space()
      if (this.#text[this.#at] !== '"') this.#fail()
      const key = this.#string()
      this.#space()
      if (this.#text[this.#at] !== ':') this.#fail()
      this.#at++
      facts.get(object)?.numbers?.delete(key) // of an equal key before
      const value = this.#value(object, key)
      if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
      else object[key] = value
      keys.add(key)
      if (this.#separator('}')) break
    }
    const written = [...keys]
    if (written.some((key) => /^\d/.test(key))) facts.set(object, { ...facts.get(object), keys: written })
    return object
  }

  /** Takes a comma, or the end: true. */
  #separator(end: string): boolean {
    this.#space()
    const c = this.#text[this.#at]
    if (c !== ',' && c !== end) this.#fail()
    this.#at++
    return c === end
  }
}
