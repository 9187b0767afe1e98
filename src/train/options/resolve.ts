/** Given values -> resolved options: each is checked against its field; what is refused, unknown or impossible is an error that names it. */
import { inspect, isDeepStrictEqual } from 'node:util'
import { asPrograms, Message, option, SaqrError, say } from '../../error.ts'
import { nearest } from '../../hub/nearest.ts'
import { noEffect, unmet } from '../../hub/need.ts'
import { choices, expected, takesList } from './expected.ts'
import { camel, type Field, type Fields, type Honoured, needing, type OptionsOf, spelled, type Text } from './field.ts'
import { meaning } from './meaning.ts'
import { wrongUnderOldName } from './retired.ts'
import { spelling } from './spelling.ts'

/** One value as the user gave it. */
export interface Given {
  /** TRL's name */
  name: string
  value: unknown
  /** as it was written, for messages: `--lora-r`, `lora_r in run.yaml`, `loraR` */
  said: string
  /** written by a name of older versions */
  old?: boolean
  /** given by a program: other options are then named in camelCase, unset is null, and texts have quotes */
  program?: boolean
}

export interface Resolved<O> {
  options: O
  /** a line for each option that was given and has nothing to do: what takes its place, or what it needs */
  notes: string[]
}

/**
 * Options of `fields`, defaults where nothing is given; the last of several values counts.
 * @param beside what else is given that options may need
 * @throws SaqrError OPTION_UNKNOWN, OPTION_REFUSED or OPTION_INVALID, a line for each option that can't be used
 */
export function resolve<T extends Fields>(
  fields: T,
  given: readonly Given[],
  beside: Readonly<Record<string, unknown>> = {},
): Resolved<OptionsOf<T>> {
  const options: Record<string, unknown> = {}
  const spell = given.some(({ program }) => program) ? asPrograms : spelling(fields, given)
  for (const [name, field] of Object.entries(fields)) if (field.status === 'honoured') options[camel(name)] = field.initial
  const notes: string[] = []
  const problems: SaqrError[] = []
  for (const one of new Map(given.map((g) => [g.name, g])).values()) {
    const field = Object.hasOwn(fields, one.name) ? fields[one.name]! : undefined
    const problem = field ? (wrongUnderOldName(one) ?? check(field, one)) : unknownOption(one, Object.keys(fields))
    if (problem) problems.push(problem)
    else if (field!.status === 'honoured') {
      options[camel(one.name)] = field!.schema.parse(one.value)
      if (one.old) notes.push(`${one.said} is ${one.program ? camel(one.name) : one.name} now`)
    } else if (field!.status === 'subsumed') notes.push(`${one.said}: ${spelled(field!.by, spell)}`)
  }
  for (const [need, names] of problems.length > 0 ? [] : unmet(needing(fields), { ...options, ...beside })) {
    if (need.otherwise !== undefined) problems.push(new SaqrError('OPTION_INVALID', noEffect(need, names)))
    else notes.push(noEffect(need, names).spelled(spell))
  }
  if (problems.length > 0) {
    const problem = joined(problems)
    problem.respell(spell)
    throw problem
  }
  return { options: options as OptionsOf<T>, notes }
}

/**
 * The same for a program's object, whose keys are camelCase; undefined values count as left out.
 * @throws SaqrError as `resolve` does; a snake_case key is OPTION_UNKNOWN with its camelCase name
 */
export function resolveObject<T extends Fields>(
  fields: T,
  values: Readonly<Record<string, unknown>>,
  renamed: Readonly<Record<string, string>> = {},
  beside: Readonly<Record<string, unknown>> = {},
): Resolved<OptionsOf<T>> {
  const names = new Map(Object.keys(fields).map((name) => [camel(name), name]))
  const older = new Map(Object.entries(renamed).map(([old, name]) => [camel(old), name]))
  const given: Given[] = []
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue
    const old = older.has(key)
    const name = names.get(key) ?? older.get(key)
    if (name === undefined && (Object.hasOwn(fields, key) || Object.hasOwn(renamed, key)))
      throw new SaqrError('OPTION_UNKNOWN', `unknown option ${key}: it is written ${camel(key)} here`)
    if (name === undefined) throw unknownOption({ said: key, name: key, value }, [...names.keys()])
    given.push({ name, value, said: key, old, program: true })
  }
  refuseTwoNames(given)
  return resolve(fields, given, beside)
}

/** @throws SaqrError OPTION_INVALID where one source gives an option by its old and its new name: older versions disagree on which counts */
export function refuseTwoNames(given: readonly Given[]): void {
  for (const one of given.filter((g) => g.old)) {
    const other = given.find((g) => g.name === one.name && !g.old)
    if (other) throw new SaqrError('OPTION_INVALID', `${one.said} and ${other.said} mean the same; keep the latter`)
  }
}

function check(field: Field, one: Given): SaqrError | undefined {
  const { value } = one
  const name = option(camel(one.name))
  const refusal = (why: Text) => new SaqrError('OPTION_REFUSED', say`${name} ${shown(one)} is refused: ${why}`)
  if (field.status === 'refused') {
    const asksForNothing = [field.initial, ...field.harmless].some((harmless) => isDeepStrictEqual(harmless, value))
    return asksForNothing ? undefined : refusal(field.why)
  }
  const why = field.status === 'honoured' ? refusedValue(field, value) : undefined
  if (why) return refusal(why)
  if (field.schema.safeParse(value).success) return undefined
  return new SaqrError(
    'OPTION_INVALID',
    say`${name}: expected ${expected(field.schema, one.program)}, not ${shown(one)}${meant(field, one)}`,
  )
}

function meant(field: Field, { value, program }: Given): string {
  const words = choices(field.schema)
  const known = (text: unknown) => typeof text !== 'string' || words.includes(text)
  const wrong = (Array.isArray(value) ? value : [value]).find((text) => !known(text))
  const several = typeof value === 'string' && takesList(field.schema) ? value.split(/[\s,]+/) : []
  if (several.length > 1 && several.every((word) => words.includes(word)))
    return `; did you mean ${program ? inspect(several) : several.join(' ')}?`
  const close = wrong === undefined ? undefined : nearest(wrong as string, words)
  return close === undefined ? '' : `; did you mean ${close}?`
}

function refusedValue(field: Honoured, value: unknown): Text | undefined {
  for (const item of Array.isArray(value) ? value : [value])
    if (typeof item === 'string' && Object.hasOwn(field.refuses, item)) return field.refuses[item]
  return undefined
}

export function unknownOption({ said, name }: Given, known: readonly string[]): SaqrError {
  const close = meaning(name, known) ?? nearest(name, known)
  const as = said.startsWith('-') && close ? `--${close}` : close
  return new SaqrError('OPTION_UNKNOWN', `unknown option ${said}${as ? `; did you mean ${as}?` : ''}`)
}

function shown({ value, program }: Given): string {
  if (typeof value === 'string' && !program) return value || "''"
  return inspect(value, { depth: 2, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 8, maxStringLength: 80 })
}

function joined(problems: SaqrError[]): SaqrError {
  return problems.length === 1
    ? problems[0]!
    : new SaqrError(
        problems[0]!.code,
        Message.join(
          problems.map((p) => p.said),
          '\n',
        ),
      )
}
