/**
 * Which parts of which message a text is made of. Lists and mappings of messages are known by identity; a text, which has none, is
 * followed through expressions, variables and macros: each evaluation collects the fields it reads (`"2.content"`), a variable keeps
 * what its value was made of, and what is printed adds it to what the whole text is made of. Conditions read, but make nothing.
 */
import { nothing, type Reads } from './scope.ts'
import { Callable, Dict, Tuple, type Value } from './values.ts'

/** `field` is undefined for the message itself, and names where a nested list or mapping stands. */
interface Origin {
  of: string
  field?: string
}

export class Provenance {
  readonly #origins = new Map<object, Origin>()
  #reads = new Set<string>()
  /** the message that was read last */
  last: string | undefined

  /** Makes a message (or what else has a name of its own) known, with all that is in it. */
  follow(value: Value, of: string, field?: string): void {
    if (!isContainer(value)) return
    this.#origins.set(value, { of, field })
    if (value instanceof Dict) for (const [key, item] of value.entries()) this.follow(item, of, field ?? String(key))
    else for (const item of value) this.follow(item, of, field)
  }

  /** Everything collected so far at this level: once rendering ended, what the text is made of. */
  get reads(): Reads {
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
    if (origin.field === undefined) this.last = origin.of
    if (value !== undefined && !isContainer(value) && !(value instanceof Callable))
      this.#reads.add(`${origin.of}.${origin.field ?? String(key)}`)
  }

  /** A function was given the value and may have used all of it; of messages, unless it only passes them on. */
  used(value: Value, passesOn = false): void {
    if (!(value instanceof Object)) return
    const origin = this.#origins.get(value)
    if (origin && (origin.field !== undefined || !passesOn)) this.#reads.add(`${origin.of}.${origin.field ?? '*'}`)
    if (origin) return
    if (Array.isArray(value)) for (const item of value) this.used(item, passesOn)
    else if (value instanceof Tuple) for (const item of value.items) this.used(item, passesOn)
    else if (value instanceof Dict) for (const item of value.values()) this.used(item, passesOn)
  }
}

const isContainer = (value: Value): value is Value[] | Dict => Array.isArray(value) || value instanceof Dict
