/** What a schema accepts, in words: `expected …` in messages, `takes …` in help. */
import type { z } from 'zod'

interface Definition {
  type: string
  innerType?: z.ZodType
  options?: z.ZodType[]
  element?: z.ZodType
  entries?: Record<string, string>
  values?: unknown[]
  format?: string
  checks?: { _zod: { def: Check } }[]
}

interface Check {
  check: string
  value?: number
  inclusive?: boolean
}

/**
 * "a whole number of at least 1 or none", "linear, cosine or constant", "true or false".
 * @param program a program's value, which is null where it is unset; elsewhere that is written none, where it can be told from a text
 */
export function expected(schema: z.ZodType, program = false): string {
  const all = [...new Set(kinds(schema, program))]
  if (!isNullable(schema) || (!program && takesText(schema))) return listed(all)
  return listed([...all, program ? 'null' : 'none'])
}

/** The words that a schema takes. */
export function choices(schema: z.ZodType): string[] {
  const def = schema.def as unknown as Definition
  if (def.type === 'enum') return Object.values(def.entries!)
  return [def.innerType, def.element, ...(def.options ?? [])].flatMap((inner) => (inner ? choices(inner) : []))
}

/** "a, b or c" */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

export function takesList(schema: z.ZodType): boolean {
  const { type, innerType, options = [] } = schema.def as unknown as Definition
  return type === 'array' || [innerType, ...options].some((inner) => inner && takesList(inner))
}

/** A word on the command line is taken as it is: none would be one of them. */
function takesText(schema: z.ZodType): boolean {
  const def = schema.def as unknown as Definition
  return def.type === 'string' || def.type === 'enum' || [def.innerType, ...(def.options ?? [])].some((inner) => inner && takesText(inner))
}

function isNullable(schema: z.ZodType): boolean {
  return (schema.def as unknown as Definition).type === 'nullable'
}

/** One entry for each kind of value. */
function kinds(schema: z.ZodType, program: boolean): string[] {
  if (schema.description !== undefined) return [schema.description]
  const def = schema.def as unknown as Definition
  switch (def.type) {
    case 'nullable':
      return kinds(def.innerType!, program)
    case 'union':
      return def.options!.flatMap((one) => kinds(one, program))
    case 'enum':
      return Object.values(def.entries!)
    case 'literal':
      return def.values!.map(String)
    case 'boolean':
      return ['true', 'false']
    case 'number':
      return [[def.format === 'safeint' ? 'a whole number' : 'a number', range(def)].join(' ').trimEnd()]
    case 'string':
      return ['a text']
    case 'array':
      return [program ? list(def.element!) : `${list(def.element!)} (on the command line with spaces between)`]
    case 'record':
      return ['a mapping of names to values']
    default:
      throw new Error(`an option's schema may not be a ${def.type}`)
  }
}

function list(element: z.ZodType): string {
  if (choices(element).length > 0) return 'a list of them'
  return (element.def as unknown as Definition).type === 'string' ? 'a list of texts' : 'a list'
}

/** "of at least 0 and below 1" */
function range({ checks = [] }: Definition): string {
  const bounds = checks.map(({ _zod: { def } }) => {
    if (def.check === 'greater_than') return def.inclusive ? `of at least ${def.value}` : `above ${def.value}`
    if (def.check === 'less_than') return def.inclusive ? `of at most ${def.value}` : `below ${def.value}`
    throw new Error(`the check ${def.check} needs a description: see described in schemas.ts`)
  })
  return bounds.join(' and ')
}
