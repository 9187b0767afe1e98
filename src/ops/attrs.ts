/**
 * The constants of an op, declared once: a name, a kind, perhaps a default. TypeScript checks callers against the declaration, `complete`
 * checks what no compiler saw, and kernels read a struct of the same names (native/attrs.mjs writes the C++ one, devices/cuda the CUDA one).
 */
import { DTYPES, type DType } from './tensor.ts'

/** real: any number. whole: an integer of 32 bits. word: 32 bits without a sign. */
export interface Kinds {
  real: number
  whole: number
  word: number
  flag: boolean
  dtype: DType
}
export type AttrValue = Kinds[keyof Kinds]

export interface Attr<K extends keyof Kinds = keyof Kinds, Fallback extends Kinds[K] | undefined = Kinds[K] | undefined> {
  readonly kind: K
  /** its value where a caller gives none; undefined: a caller must */
  readonly fallback: Fallback
}
export type AttrSpecs = Readonly<Record<string, Attr>>

export type NoAttrs = Readonly<Record<never, Attr>>
export const none: NoAttrs = {}

/** an op's attributes as kernels and rules read them */
export type Attrs<A extends AttrSpecs = AttrSpecs> = { readonly [N in keyof A]: Kinds[A[N]['kind']] }

type Optional<A extends AttrSpecs> = { [N in keyof A]: A[N]['fallback'] extends undefined ? never : N }[keyof A]
/** as callers give them: those with a default may be left out; nothing else may be added */
export type Given<A extends AttrSpecs> = keyof A extends never
  ? Readonly<Record<string, never>>
  : { readonly [N in Exclude<keyof A, Optional<A>>]: Kinds[A[N]['kind']] } & { readonly [N in Optional<A>]?: Kinds[A[N]['kind']] }

function maker<K extends keyof Kinds>(kind: K) {
  function make(): Attr<K, undefined>
  function make(fallback: Kinds[K]): Attr<K, Kinds[K]>
  function make(fallback?: Kinds[K]): Attr<K> {
    return { kind, fallback }
  }
  return make
}

export const real = maker('real')
export const whole = maker('whole')
export const word = maker('word')
export const flag = maker('flag')
export const dtype = maker('dtype')

const IS: { readonly [K in keyof Kinds]: (value: unknown) => boolean } = {
  real: (v) => typeof v === 'number' && !Number.isNaN(v),
  whole: (v) => typeof v === 'number' && v === (v | 0),
  word: (v) => typeof v === 'number' && v === v >>> 0,
  flag: (v) => typeof v === 'boolean',
  dtype: (v) => DTYPES.includes(v as DType),
}

/** what `complete` made, by who declares it: nodes made of nodes, and plans, hand attributes on as they are */
const completed = new WeakMap<object, AttrSpecs>()

/** @throws Error for an attribute that is missing, unknown or of another kind: a mistake in an op or a family, never in a user's input */
export function complete<A extends AttrSpecs>(op: { name: string; attrs: A }, given: Readonly<Record<string, unknown>>): Attrs<A> {
  if (completed.get(given) === op.attrs) return given as Attrs<A>
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(op.attrs, name))
  if (unknown !== undefined) throw new Error(`${op.name} has no attribute '${unknown}'`)
  const values = Object.entries(op.attrs).map(([name, { kind, fallback }]) => {
    const value = given[name] ?? fallback
    if (!IS[kind](value)) throw new Error(`${op.name}: attribute '${name}' is ${String(value)}, not a ${kind}`)
    return [name, value]
  })
  const made = Object.fromEntries(values) as Attrs<A>
  completed.set(made, op.attrs)
  return made
}

/** an attribute as the number that native code reads */
export function asNumber(value: AttrValue): number {
  return typeof value === 'string' ? DTYPES.indexOf(value) : Number(value)
}

/** A number that changes with what any op declares: a native library and its plans agree on it. */
export function abiOf(ops: readonly { name: string; attrs: AttrSpecs }[]): number {
  const declared = ops.map(({ name, attrs }) => `${name}(${Object.entries(attrs).map(([field, { kind }]) => `${field}: ${kind}`)})`)
  let hash = 0x811c9dc5 // FNV-1a
  // a dtype is its place in the list
  for (const c of [...declared.sort(), DTYPES.join()].join('\n')) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193)
  return hash & 0x7fffffff
}
