/**
 * What a program hands to the public API, looked at before anything is done with it: values whose meaning is plain are taken, an unknown key
 * is told the nearest name, any other value what was expected in its place.
 */
import { inspect } from 'node:util'
import { type Message, option, SaqrError, say } from '../error.ts'
import { nearest } from './nearest.ts'
import { type Need, noEffect, unmet } from './need.ts'

/** Not a value of this kind; `why`: known and not to be had. */
export class Unfit {
  readonly why: string | Message | undefined
  constructor(why?: string | Message) {
    this.why = why
  }
}

export const unfit = new Unfit()

export interface Check<T> {
  /** completes "expected …" */
  readonly what: string
  readonly take: (value: unknown) => T | Unfit
  /** without which it has no effect, unless it asks for nothing: an error, as a call has no notes */
  readonly needs?: Need
  readonly initial?: unknown
}

/** An option that means nothing unless `need` is met; `initial`: where it asks for nothing. */
export const beside = <T>(need: Need, check: Check<T>, initial?: unknown): Check<T> => ({ ...check, needs: need, initial })

/** A check for every key that there is. */
export type Checks<T> = { readonly [K in keyof T]-?: Check<T[K] | undefined> }

/** Values that are taken as they are. */
export const kind = <T>(what: string, holds: (value: unknown) => boolean): Check<T> => ({
  what,
  take: (v) => (holds(v) ? (v as T) : unfit),
})

export const text: Check<string> = kind('a text', (v) => typeof v === 'string')
export const filled: Check<string> = kind('a text that is not empty', (v) => typeof v === 'string' && v.trim() !== '')
export const flag: Check<boolean> = kind('true or false', (v) => typeof v === 'boolean')
export const func = <F>(what: string): Check<F> => kind(what, (v) => typeof v === 'function')
export const signal: Check<AbortSignal> = kind('an AbortSignal', (v) => v instanceof AbortSignal)
export const texts: Check<string[]> = kind('a list of texts', (v) => Array.isArray(v) && v.every((one) => typeof one === 'string'))
/** options of a mapping that somebody else reads: a template's variables … */
export const mapping: Check<Record<string, unknown>> = kind('an object', isMapping)

export const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Check<number> =>
  kind(`a whole number of at least ${least}${most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ''}`, (v) => {
    return Number.isSafeInteger(v) && (v as number) >= least && (v as number) <= most
  })

export const number = (what: string, holds: (n: number) => boolean): Check<number> =>
  kind(what, (v) => typeof v === 'number' && Number.isFinite(v) && holds(v))

export const instance = <T>(type: abstract new (...args: never[]) => T, what: string): Check<T> => kind(what, (v) => v instanceof type)

/** One of these words, each standing for a value. */
export function word<T>(words: Readonly<Record<string, T>>, refused: Readonly<Record<string, string>> = {}): Check<T> {
  const names = Object.keys(words)
  const what = names.length === 1 ? names[0]! : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  return {
    what,
    take: (v) => {
      if (typeof v !== 'string') return unfit
      if (Object.hasOwn(refused, v)) return new Unfit(refused[v])
      return Object.hasOwn(words, v) ? words[v]! : unfit
    },
  }
}

export const orNull = <T>(check: Check<T>): Check<T | null> => ({
  what: `${check.what} or null`,
  take: (v) => (v === null ? null : check.take(v)),
})

/** What the first that fits makes of it. */
export const either = <A, B>(a: Check<A>, b: Check<B>): Check<A | B> => ({
  what: `${a.what} or ${b.what}`,
  take(v) {
    const taken = a.take(v)
    return taken instanceof Unfit && taken.why === undefined ? b.take(v) : taken
  },
})

/** The value that a check's value stands for. */
export const as = <A, B>(check: Check<A>, make: (value: A) => B): Check<B> => ({
  what: check.what,
  take(v) {
    const taken = check.take(v)
    return taken instanceof Unfit ? taken : make(taken)
  },
})

/** Asks for nothing at these values, and for something that is not here at any other. */
export const refused = (why: string | Message, ...nothing: unknown[]): Check<undefined> => ({
  what: 'nothing',
  take: (v) => (v === null || v === false || nothing.includes(v) ? undefined : new Unfit(why)),
})

/** Accepted whatever it is: there is nothing left for it to do. */
export const idle: Check<undefined> = { what: 'anything', take: () => undefined }

/** @throws SaqrError OPTION_INVALID or OPTION_REFUSED naming the argument */
export function take<T>(value: unknown, name: string, check: Check<T>): T {
  const taken = check.take(value)
  if (!(taken instanceof Unfit)) return taken
  if (taken.why !== undefined) throw new SaqrError('OPTION_REFUSED', say`${option(name)} ${shown(value)} is refused: ${taken.why}`)
  throw new SaqrError('OPTION_INVALID', say`${option(name)}: expected ${check.what}, not ${shown(value)}`)
}

/**
 * Options of a call; those that are undefined are left out.
 * @param of what takes them, for messages
 * @param renamed other names of options: snake_case needs none
 * @throws SaqrError OPTION_UNKNOWN with the nearest name, OPTION_INVALID, OPTION_REFUSED
 */
export function takeOptions<T extends object>(
  given: unknown,
  of: string,
  checks: Checks<T>,
  renamed: Readonly<Record<string, keyof T & string>> = {},
): Partial<T> {
  const taken: Record<string, unknown> = {}
  for (const [key, value] of entriesOf(given, of)) {
    if (value === undefined) continue
    const name = Object.hasOwn(checks, key) ? key : Object.hasOwn(renamed, key) ? renamed[key]! : undefined
    if (name === undefined) throw unknownKey(key, of, [...Object.keys(checks), ...Object.keys(renamed)])
    if (name !== key && (given as Record<string, unknown>)[name] !== undefined)
      throw new SaqrError('OPTION_INVALID', say`${option(key)} and ${option(name)} mean the same; keep the latter`)
    const one = take(value, key, checks[name as keyof T] as Check<unknown>)
    if (one !== undefined) taken[name] = one
  }
  const needing = Object.entries<Check<unknown>>(checks as never).map(([name, { needs, initial }]) => ({ name, needs, initial }))
  for (const [need, names] of unmet(needing, taken)) throw new SaqrError('OPTION_INVALID', noEffect(need, names))
  return taken as Partial<T>
}

/** @throws SaqrError OPTION_INVALID for what is no object of options */
export function entriesOf(given: unknown, of: string): [string, unknown][] {
  if (given === undefined || given === null) return []
  if (!isMapping(given)) throw new SaqrError('OPTION_INVALID', `${of} takes its options as an object { … }, not ${shown(given)}`)
  return Object.entries(given)
}

export function unknownKey(key: string, of: string, known: readonly string[]): SaqrError {
  const camelCase = key.replace(/_(.)/g, (_, next: string) => next.toUpperCase())
  if (camelCase !== key && known.includes(camelCase))
    return new SaqrError('OPTION_UNKNOWN', `${of} has no option ${key}: it is written ${camelCase} here`)
  const close = nearest(key, known)
  return new SaqrError('OPTION_UNKNOWN', `${of} has no option ${key}${close ? `: did you mean ${close}?` : ` (only ${known.join(', ')})`}`)
}

/** an object with these methods */
export function hasMethods(value: unknown, ...names: readonly PropertyKey[]): boolean {
  const object = value as Record<PropertyKey, unknown> | null | undefined
  return object != null && names.every((name) => typeof object[name] === 'function')
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value) && !(value instanceof Promise)
}

/** A value as a message shows it. */
export function shown(value: unknown): string {
  if (value instanceof Promise) return 'a promise (is an await missing?)'
  if (typeof value === 'function') return value.name ? `the function ${value.name}` : 'a function'
  return inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 4, maxStringLength: 60 }).slice(0, 200)
}
