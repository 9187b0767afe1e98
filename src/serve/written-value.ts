/** Values of parameters that a model wrote without quotes: which are texts, and which JSON, is told by the tool's schema. */
import { isObject } from '../formats/json.ts'
import { exactItems, Float, parseExactly } from '../formats/json-exact.ts'

/** as templates write them by Python's str */
const PYTHON: Readonly<Record<string, unknown>> = { True: true, False: false, None: null, null: null }

/** What a schema takes. */
interface Taken {
  /** null: it says nothing of them */
  kinds: ReadonlySet<string> | null
  /** texts that it lists */
  texts: readonly string[]
}

const NOTHING_SAID: Taken = { kinds: null, texts: [] }
/** schemas within schemas; what is deeper says nothing */
const DEEPEST = 32

/**
 * A text where the schema says so or nothing, else what it is as JSON (numbers as Float or bigint where they were written so), or the text where
 * it is none. Where a text may stand beside something else, it is that if it reads as such, unless the schema lists the text itself.
 * @param schema of a tool's parameters
 */
export function writtenValue(written: string, schema: unknown, key: string): unknown {
  const properties = isObject(schema) && isObject(schema.properties) ? schema.properties : {}
  const value = Object.hasOwn(PYTHON, written) ? PYTHON[written] : jsonOf(written)
  if (value === undefined || !Object.hasOwn(properties, key)) return written
  const { kinds, texts } = new Reader(schema).taken(properties[key])
  if (kinds === null || texts.includes(written)) return written
  return kinds.has('string') && !kinds.has(kindOf(value)) ? written : value
}

class Reader {
  readonly #root: unknown
  /** of each reference; while it is read it adds nothing to itself */
  readonly #known = new Map<string, Taken>()

  constructor(root: unknown) {
    this.#root = root
  }

  taken(schema: unknown, depth = 0): Taken {
    if (!isObject(schema) || depth > DEEPEST) return NOTHING_SAID
    const inner = (one: unknown) => this.taken(one, depth + 1)
    const said: Taken[] = Array.isArray(schema.allOf) ? schema.allOf.map(inner) : []
    if (typeof schema.$ref === 'string') said.push(this.#referred(schema.$ref, depth))
    if (schema.type !== undefined) said.push({ kinds: new Set([schema.type].flat().flatMap(kindsOf)), texts: [] })
    else if (schema.properties !== undefined) said.push({ kinds: new Set(['object']), texts: [] })
    else if (schema.items !== undefined) said.push({ kinds: new Set(['array']), texts: [] })
    if (Array.isArray(schema.enum)) said.push(listed(schema.enum))
    if (schema.const !== undefined) said.push(listed([schema.const]))
    for (const some of [schema.anyOf, schema.oneOf]) if (Array.isArray(some)) said.push(anyOf(some.map(inner)))
    return allOf(said)
  }

  /** `#/$defs/Color`: a place in the schema of the parameters */
  #referred(ref: string, depth: number): Taken {
    const known = this.#known.get(ref)
    if (known) return known
    this.#known.set(ref, listed([]))
    const keys = ref.split('/').slice(1)
    const place = ref.startsWith('#') ? keys.reduce<unknown>(below, this.#root) : undefined
    const taken = this.taken(place, depth + 1)
    this.#known.set(ref, taken)
    return taken
  }
}

const below = (at: unknown, key: string) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined)

const listed = (values: readonly unknown[]): Taken => ({
  kinds: new Set(values.map(kindOf)),
  texts: values.filter((one) => typeof one === 'string'),
})

const anyOf = (all: readonly Taken[]): Taken => ({
  kinds: all.some(({ kinds }) => kinds === null) ? null : new Set(all.flatMap(({ kinds }) => [...kinds!])),
  texts: all.flatMap(({ texts }) => texts),
})

function allOf(all: readonly Taken[]): Taken {
  const said = all.flatMap(({ kinds }) => kinds ?? [])
  const [first] = said
  const kinds = first ? new Set([...first].filter((kind) => said.every((one) => one.has(kind)))) : null
  return { kinds, texts: all.flatMap(({ texts }) => texts) }
}

const kindsOf = (type: unknown) => (type === 'number' ? ['number', 'integer'] : [String(type)])

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  const number = value instanceof Float ? value.value : value
  if (typeof number === 'bigint' || Number.isInteger(number)) return 'integer'
  return typeof number
}

/** Undefined: it is no JSON, of which NaN and the infinities are none. */
function jsonOf(written: string): unknown {
  try {
    const list = parseExactly(`[${written}]`)
    if (
      !Array.isArray(list) ||
      list.length !== 1 ||
      Object.is(list[0], Number.NaN) ||
      Math.abs(list[0] as number) === Number.POSITIVE_INFINITY
    )
      return undefined
    return exactItems(list)[0]
  } catch {
    return undefined
  }
}
