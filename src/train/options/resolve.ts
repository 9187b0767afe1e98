/** Given values -> resolved options: each is checked against its field; what is refused, unknown or impossible is an error that names it. */
import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { SaqrError } from '../../error.ts'
import { camel, type Field, type Fields, type Honoured, type OptionsOf } from './field.ts'
import { nearest } from './nearest.ts'

/** One value as the user gave it. */
export interface Given {
  /** TRL's name */
  name: string
  value: unknown
  /** as it was written, for messages: `--lora-r`, `lora_r in run.yaml`, `loraR` */
  said: string
  /** written by a name of older versions */
  old?: boolean
}

export interface Resolved<O> {
  options: O
  /** a line for each subsumed option that was given: what takes its place */
  notes: string[]
}

/**
 * Options of `fields`, defaults where nothing is given; the last of several values counts.
 * @throws SaqrError OPTION_UNKNOWN, OPTION_REFUSED or OPTION_INVALID, a line for each option that can't be used
 */
export function resolve<T extends Fields>(fields: T, given: readonly Given[]): Resolved<OptionsOf<T>> {
  const options: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) if (field.status === 'honoured') options[camel(name)] = field.initial
  const notes: string[] = []
  const problems: SaqrError[] = []
  for (const one of new Map(given.map((g) => [g.name, g])).values()) {
    const field = Object.hasOwn(fields, one.name) ? fields[one.name]! : undefined
    const problem = field ? check(field, one) : unknownOption(one, Object.keys(fields))
    if (problem) problems.push(problem)
    else if (field!.status === 'honoured') options[camel(one.name)] = field!.schema.parse(one.value)
    else if (field!.status === 'subsumed') notes.push(`${one.said}: ${field!.by}`)
  }
  if (problems.length > 0) throw joined(problems)
  return { options: options as OptionsOf<T>, notes }
}

/**
 * The same for a program's object, whose keys are camelCase; undefined values count as left out.
 * @throws SaqrError as `resolve` does; a snake_case key is OPTION_UNKNOWN with its camelCase name
 */
export function resolveObject<T extends Fields>(fields: T, values: Readonly<Record<string, unknown>>): Resolved<OptionsOf<T>> {
  const names = new Map(Object.keys(fields).map((name) => [camel(name), name]))
  const given: Given[] = []
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue
    const name = names.get(key)
    if (name === undefined && Object.hasOwn(fields, key))
      throw new SaqrError('OPTION_UNKNOWN', `unknown option ${key}: it is written ${camel(key)} here`)
    if (name === undefined) throw unknownOption({ said: key, name: key, value }, names.keys())
    given.push({ name, value, said: key })
  }
  return resolve(fields, given)
}

/** @throws SaqrError OPTION_INVALID where one source gives an option by its old and its new name: older versions disagree on which counts */
export function refuseTwoNames(given: readonly Given[]): void {
  for (const one of given.filter((g) => g.old)) {
    const other = given.find((g) => g.name === one.name && !g.old)
    if (other) throw new SaqrError('OPTION_INVALID', `${one.said} and ${other.said} mean the same; keep the latter`)
  }
}

function check(field: Field, { value, said }: Given): SaqrError | undefined {
  if (field.status === 'honoured') {
    const why = refusedValue(field, value)
    if (why) return new SaqrError('OPTION_REFUSED', `${said} ${shown(value)} is refused: ${why}`)
  }
  if (field.status === 'refused') {
    const asksForNothing = [field.initial, ...field.harmless].some((harmless) => isDeepStrictEqual(harmless, value))
    return asksForNothing ? undefined : new SaqrError('OPTION_REFUSED', `${said} ${shown(value)} is refused: ${field.why}`)
  }
  const parsed = field.schema.safeParse(value)
  return parsed.success ? undefined : new SaqrError('OPTION_INVALID', `${said} ${shown(value)}: ${reason(parsed.error)}`)
}

function refusedValue(field: Honoured, value: unknown): string | undefined {
  for (const item of Array.isArray(value) ? value : [value])
    if (typeof item === 'string' && Object.hasOwn(field.refuses, item)) return field.refuses[item]
  return undefined
}

export function unknownOption({ said, name }: Given, known: Iterable<string>): SaqrError {
  const close = nearest(name, known)
  const as = said.startsWith('--') && close ? `--${close}` : close
  return new SaqrError('OPTION_UNKNOWN', `unknown option ${said}${as ? `; did you mean ${as}?` : ''}`)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value || "''" : JSON.stringify(value)
}

function reason(error: z.ZodError): string {
  const first = error.issues[0]!
  return first.code === 'invalid_union' ? 'expected another kind of value' : first.message
}

function joined(problems: SaqrError[]): SaqrError {
  return problems.length === 1 ? problems[0]! : new SaqrError(problems[0]!.code, problems.map((p) => p.message).join('\n'))
}
