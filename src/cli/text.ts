/** Words of a command line as values: what a field's schema can hold decides how its text is read, as HF's parser has it. */
import type { z } from 'zod'

/** What a schema holds, with wrappers taken off. */
export interface Kinds {
  nullable: boolean
  boolean: boolean
  integer: boolean
  number: boolean
  text: boolean
  list: boolean
  /** the list is of numbers */
  numbers: boolean
  mapping: boolean
  choices: string[]
}

interface Definition {
  type: string
  innerType?: z.ZodType
  options?: z.ZodType[]
  element?: z.ZodType
  entries?: Record<string, string>
  format?: string
  checks?: { _zod: { def: { format?: string } } }[]
}

export function kindsOf(schema: z.ZodType): Kinds {
  const kinds: Kinds = {
    nullable: false,
    boolean: false,
    integer: false,
    number: false,
    text: false,
    list: false,
    numbers: false,
    mapping: false,
    choices: [],
  }
  const visit = (s: z.ZodType): void => {
    const def = s.def as unknown as Definition
    if (def.type === 'nullable') {
      kinds.nullable = true
      visit(def.innerType!)
    } else if (def.type === 'union') for (const option of def.options!) visit(option)
    else if (def.type === 'number') kinds[def.format === 'safeint' ? 'integer' : 'number'] = true
    else if (def.type === 'enum') kinds.choices.push(...Object.values(def.entries!))
    else if (def.type === 'boolean' || def.type === 'literal') kinds.boolean = true
    else if (def.type === 'string') kinds.text = true
    else if (def.type === 'array') {
      kinds.list = true
      kinds.numbers = def.element?.def.type === 'number'
    } else if (def.type === 'record') kinds.mapping = true
    else throw new Error(`an option's schema may not be a ${def.type}`)
  }
  visit(schema)
  return kinds
}

const TRUE = new Set(['yes', 'true', 't', 'y', '1'])
const FALSE = new Set(['no', 'false', 'f', 'n', '0'])

export function isBooleanWord(word: string): boolean {
  return TRUE.has(word.toLowerCase()) || FALSE.has(word.toLowerCase())
}

/**
 * The value that `word` means for this schema. What can't be read stays text, so that the schema's own check names what it expects.
 * `none` and `null` are null where the field can be unset and holds no text of its own.
 */
export function fromText(kinds: Kinds, word: string): unknown {
  if (kinds.nullable && !kinds.text && kinds.choices.length === 0 && /^(none|null)$/i.test(word)) return null
  if (kinds.choices.includes(word)) return word
  if (kinds.mapping && word.startsWith('{')) return json(word)
  if (kinds.list && word.startsWith('[')) return json(word)
  if (kinds.boolean && isBooleanWord(word)) return TRUE.has(word.toLowerCase())
  if ((kinds.number || kinds.integer) && isNumber(word)) return Number(word)
  return word
}

/** The value of a list option: its words, or one JSON array. */
export function fromWords(kinds: Kinds, words: readonly string[]): unknown {
  if (kinds.numbers && words.every(isNumber)) return words.map(Number)
  if (words.length === 1) {
    const value = fromText(kinds, words[0]!)
    if (typeof value !== 'string') return value
    return kinds.text || kinds.choices.length > 0 ? value : [value]
  }
  return [...words]
}

export function isNumber(word: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word)
}

function json(word: string): unknown {
  try {
    return JSON.parse(word)
  } catch {
    return word
  }
}
