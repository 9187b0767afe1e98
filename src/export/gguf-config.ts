/** A model's configuration as a GGUF file says it, and the proof that it says all: what reading it back gives must compute the same. */
import { Full } from '../adapters/full.ts'
import { SaqrError } from '../error.ts'
import { ggufConfig } from '../formats/gguf/config.ts'
import { type Entries, headerOf, text } from '../formats/gguf/write.ts'
import type { JsonObject } from '../formats/json.ts'
import { inspect } from '../graph/training.ts'
import { layouts } from '../models/checkpoint.ts'
import type { Model } from '../models/family.ts'
import type { Described, FamilyGguf } from '../models/gguf-describe.ts'
import { families, openConfig } from '../models/registry.ts'

/** @throws SaqrError EXPORT_FAMILY naming those that can be written */
export function ggufOf({ family }: Model): FamilyGguf {
  const found = families.find(({ modelType }) => modelType === family)
  const gguf = found?.gguf ?? found?.written
  if (gguf) return gguf
  const can = families.flatMap(({ modelType, gguf, written }) => (gguf || written ? [modelType] : [])).join(', ')
  throw new SaqrError('EXPORT_FAMILY', `no GGUF architecture is known here for ${family} models, only for ${can}: save it merged instead`)
}

/** keys with the architecture's name before them */
export function entriesOf({ keys }: Described, { architecture }: FamilyGguf): Entries {
  return {
    'general.architecture': text(architecture),
    ...Object.fromEntries(Object.entries(keys).map(([key, entry]) => [`${architecture}.${key}`, entry])),
  }
}

/**
 * What a reader makes of these keys must be the model: the same ops, attributes and tables.
 * @throws SaqrError EXPORT_CONFIG naming what differs
 */
export function checkConfig(model: Model, header: Parameters<typeof headerOf>, factors: Described['factors'] = {}): void {
  const tables = Object.fromEntries(Object.entries(factors).map(([name, values]) => [name, Float32Array.from(values)]))
  const unsayable = (why: string) =>
    new SaqrError('EXPORT_CONFIG', `a GGUF file can't say what this ${model.family} model is: ${why}. Save it merged instead (safetensors)`)
  let config: JsonObject
  try {
    ;({ config } = ggufConfig(headerOf(...header), READ_BACK, tables, layouts))
  } catch (error) {
    // there is no file yet that a reader of this could look at
    if (error instanceof SaqrError) throw unsayable(error.message.replace(`${READ_BACK} can't be used: `, 'read back, ').replace(/\.$/, ''))
    throw error
  }
  // the padding token's row gets no gradient, and that is all it does
  const different = differenceOf(model, openConfig({ ...config, pad_token_id: null }))
  if (different !== null) throw unsayable(`read back, its ${different}`)
}

const READ_BACK = 'the GGUF file'

const inspected = (model: Model) => inspect(model, new Full(), 'f32')

/** The first thing in which two models compute otherwise; null: none. Weights' names don't count. */
export function differenceOf(given: Model, read: Model): string | null {
  if (given.longBeyond !== read.longBeyond) return `long rows begin at ${read.longBeyond}, not at ${given.longBeyond}`
  const [a, b] = [inspected(given), inspected(read)]
  for (const [i, node] of a.nodes.entries()) {
    const other = b.nodes[i]
    if (node.op !== other?.op) return `${node.name} does ${other?.op.name ?? 'nothing'}, not ${node.op.name}`
    for (const key of Object.keys(node.attrs).filter((name) => name !== 'padding')) {
      const [mine, theirs] = [(node.attrs as Record<string, unknown>)[key], (other.attrs as Record<string, unknown>)[key]]
      if (!alike(mine, theirs)) return `${node.name} has ${key} ${String(theirs)}, not ${String(mine)}`
    }
    const [sizes, others] = [node, other].map(({ outputs }) => outputs.map(({ rows, cols }) => `${rows} × ${cols}`).join())
    if (sizes !== others) return `${node.name} is ${others}, not ${sizes}`
  }
  if (a.nodes.length < b.nodes.length) return `forward pass goes on with ${b.nodes[a.nodes.length]!.name}`
  const tables = [...b.constants.values()]
  for (const [i, [name, mine]] of [...a.constants].entries()) {
    const at = mine.findIndex((x, j) => !alike(x, tables[i]?.[j]))
    if (at >= 0) return `${name} has ${tables[i]?.[at]} at ${at}, not ${mine[at]}`
  }
  return null
}

/** Numbers go through f32, tables of factors through f32 and a division: a few units in the last place, of 2^-24 each. */
const SLACK = 16 * 2 ** -24

function alike(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b) <= SLACK * Math.max(Math.abs(a), Math.abs(b))
  return Object.is(a, b) || JSON.stringify(a) === JSON.stringify(b)
}
