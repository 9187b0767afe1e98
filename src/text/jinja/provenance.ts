/**
 * Which parts of which message a text is made of. Lists and mappings of messages are known by identity; a text, which has none, is
 * followed through expressions, variables and macros: each evaluation collects the fields it reads (`"2.content"`, and of a list its
 * items: `"2.tool_calls.0"`), a variable keeps what its value was made of, and what is printed adds it to what the whole text is made
 * of. Conditions read, but make nothing.
 */
import { nothing, type Reads } from './scope.ts'
import { Callable, Dict, Tuple, type Value } from './values.ts'

/** `field` is undefined for the message itself, and names where a nested list or mapping stands; `item`: in which item of the field. */
interface Origin {
  of: string
  field?: string
  item?: number
}

/** They say of which kind an item is, and nothing of what it holds. */
const KINDS: readonly unknown[] = ['type', 'id']

export class Provenance {
  readonly #origins = new Map<object, Origin>()
  #reads = new Set<string>()
  /** what was collected before a stretch that is collected apart */
  #before: Set<string> | undefined
  /** the message that was read last */
  last: string | undefined

  /** Makes a message (or what else has a name of its own) known, with all that is in it. */
  follow(value: Value, of: string, field?: string, item?: number): void {
    if (!isContainer(value)) return
    this.#origins.set(value, { of, field, item })
    if (value instanceof Dict) for (const [key, inner] of value.entries()) this.follow(inner, of, field ?? String(key), item)
    else for (const [i, inner] of value.entries()) this.follow(inner, of, field, item ?? i)
  }

  /** Everything collected so far at this level: once rendering ended, what the text is made of. */
  get reads(): Reads {
    this.end()
    return this.#reads
  }

  add(reads: Iterable<string>): void {
    for (const read of reads) this.#reads.add(read)
  }

  /** Evaluates apart: what is read is given back, and not part of what surrounds it. */
  apart<T>(evaluate: () => T): [T, Reads] {
    const outer = this.#reads
    this.#reads = new Set()
    try {
      const value = evaluate()
      return [value, this.#reads]
    } finally {
      this.#reads = outer
    }
  }

  /** From here on until `end` what is read is told by itself too. */
  begin(): void {
    this.end()
    this.#before = this.#reads
    this.#reads = new Set()
  }

  /** What was read since `begin`. */
  end(): Reads {
    const made = this.#reads
    if (!this.#before) return nothing
    this.#reads = this.#before
    this.#before = undefined
    this.add(made)
    return made
  }

  /** What a variable of this value keeps: nothing where the value is known by itself, or is only a truth. */
  kept(value: Value, reads: Reads): Reads {
    if (reads.size === 0 || value === null || typeof value === 'boolean' || value instanceof Callable) return nothing
    return this.#known(value) ? nothing : reads
  }

  #known(value: Value): boolean {
    if (!(value instanceof Object)) return false
    if (this.#origins.has(value)) return true
    return Array.isArray(value) && value.length > 0 && value.every((item) => this.#known(item))
  }

  /** `value` was taken out of `from` under `key`. */
  took(from: Value, key: Value, value: Value | undefined): void {
    const origin = from instanceof Object ? this.#origins.get(from) : undefined
    if (!origin) return
    const { of, field, item } = origin
    if (field === undefined) this.last = of
    if (value === undefined || isContainer(value) || value instanceof Callable) return
    if (field === undefined) this.#reads.add(`${of}.${String(key)}`)
    else if (item === undefined && Array.isArray(from)) this.#reads.add(readOf({ of, field, item: placeOf(key, from) }))
    else if (item === undefined || !KINDS.includes(key)) this.#reads.add(readOf(origin))
  }

  /** A function was given the value and may have used all of it; of what is known by itself, unless it only passes that on. */
  used(value: Value, passesOn = false): void {
    if (!(value instanceof Object)) return
    const origin = this.#origins.get(value)
    if (origin) {
      const passed = passesOn && (origin.field === undefined || (Array.isArray(value) && value.every(isContainer)))
      if (!passed) this.#reads.add(readOf(origin))
    } else if (Array.isArray(value)) for (const item of value) this.used(item, passesOn)
    else if (value instanceof Tuple) for (const item of value.items) this.used(item, passesOn)
    else if (value instanceof Dict) for (const item of value.values()) this.used(item, passesOn)
  }
}

const readOf = ({ of, field = '*', item }: Origin) => (item === undefined ? `${of}.${field}` : `${of}.${field}.${item}`)

/** Python counts from the end where the index is negative. */
const placeOf = (key: Value, { length }: readonly Value[]) => (Number(key) < 0 ? length + Number(key) : Number(key))

const isContainer = (value: Value): value is Value[] | Dict => Array.isArray(value) || value instanceof Dict

/** The messages that something was read of, by number. */
export function messagesIn(reads: Reads): number[] {
  const numbers = new Set(Array.from(reads, (read) => Number(read.slice(0, read.indexOf('.')))))
  return [...numbers].filter((message) => message >= 0)
}

/** Whether anything was read of a message's field or, where that is a list, of one of its items. */
export function heldBy(reads: Reads): (message: number, field: string, item?: number) => boolean {
  const fields = new Set(Array.from(reads, (read) => read.split('.', 2).join('.')))
  return (message, field, item) => {
    if (reads.has(`${message}.*`)) return true
    const name = `${message}.${field}`
    return item === undefined ? fields.has(name) : reads.has(name) || reads.has(`${name}.${item}`)
  }
}
