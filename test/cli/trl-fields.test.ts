/** Every option of TRL 1.16 is known, read as TRL reads it, and has TRL's default. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { kindsOf } from '../../src/cli/text.ts'
import { cpoOptions } from '../../src/train/options/cpo.ts'
import { dpoOptions } from '../../src/train/options/dpo.ts'
import { camel, type Fields, spelled, type Theme } from '../../src/train/options/field.ts'
import { ktoOptions } from '../../src/train/options/kto.ts'
import { orpoOptions } from '../../src/train/options/orpo.ts'
import { renamed, retired } from '../../src/train/options/retired.ts'
import { modelFields, scriptFields, sftFields, sftThemes, trainingFields } from '../../src/train/options/sft.ts'
import { spelling } from '../../src/train/options/spelling.ts'

interface TrlField {
  class: string
  name: string
  type: string
  default: unknown
  choices?: string[]
}
const dump = JSON.parse(readFileSync(new URL('../fixtures/trl/fields.json', import.meta.url), 'utf8')) as {
  trl: string
  fields: TrlField[]
}
const tables: Record<string, Fields> = {
  ScriptArguments: scriptFields,
  DatasetMixtureConfig: scriptFields,
  ModelConfig: modelFields,
  SFTConfig: trainingFields,
  DPOConfig: dpoOptions.training,
  CPOConfig: cpoOptions.training,
  KTOConfig: ktoOptions.training,
  ORPOConfig: orpoOptions.training,
}
/** of each verb: its own configuration, all that it knows, its help */
const verbs: { config: string; fields: Fields; themes: readonly Theme[]; older: Fields }[] = [
  { config: 'SFTConfig', fields: sftFields, themes: sftThemes, older: retired },
  { config: 'DPOConfig', fields: dpoOptions.fields, themes: dpoOptions.themes, older: dpoOptions.older },
  { config: 'KTOConfig', fields: ktoOptions.fields, themes: ktoOptions.themes, older: ktoOptions.older },
  { config: 'CPOConfig', fields: cpoOptions.fields, themes: cpoOptions.themes, older: orpoOptions.older },
  { config: 'ORPOConfig', fields: orpoOptions.fields, themes: orpoOptions.themes, older: orpoOptions.older },
]

describe('fields of TRL', () => {
  it('are those of the version that saqr follows', () => {
    expect(dump.trl).toBe('1.16.0')
    expect(Object.fromEntries(verbs.map(({ config }) => [config, dump.fields.filter((f) => f.class === config).length]))).toEqual({
      SFTConfig: 135,
      CPOConfig: 128,
      DPOConfig: 139,
      KTOConfig: 131,
      ORPOConfig: 124,
    })
  })

  it('are all classified, each in the table of its class', () => {
    const missing = dump.fields.filter((f) => !Object.hasOwn(tables[f.class]!, f.name)).map((f) => f.name)
    expect(missing).toEqual([])
  })

  it('are all that the tables hold beside saqr’s own and retired names', () => {
    const known = new Set(dump.fields.map((f) => f.name))
    const extra = Object.values(tables).flatMap((table) => Object.keys(table).filter((name) => !known.has(name)))
    expect(extra).toEqual([])
    for (const { config } of verbs) {
      const own = new Set(dump.fields.filter((f) => f.class === config).map((f) => f.name))
      expect(Object.keys(tables[config]!).filter((name) => !own.has(name))).toEqual([])
    }
    const clash = [...Object.keys(retired), ...Object.keys(renamed)].filter((name) => known.has(name))
    expect(clash).toEqual([])
    expect(Object.values(renamed).filter((name) => !known.has(name))).toEqual([])
  })

  it.each(verbs)('of $config stand in exactly one theme of the help', ({ config, fields, themes, older }) => {
    const shown = themes.flatMap((theme) => Object.keys(theme.fields))
    expect(new Set(shown).size).toBe(shown.length)
    expect(Object.keys(fields).filter((name) => !shown.includes(name) && !Object.hasOwn(older, name))).toEqual([])
    const own = new Set(dump.fields.filter((f) => f.class === config).map((f) => f.name))
    expect(Object.keys(older).filter((name) => own.has(name))).toEqual([])
  })

  it.each(verbs)('of $config have camelCase names that differ', ({ fields }) => {
    expect(new Set(Object.keys(fields).map(camel)).size).toBe(Object.keys(fields).length)
  })

  it.each(dump.fields.map((f) => [`${f.class} ${f.name}`, f] as const))('%s', (_, trl) => {
    const { name } = trl
    const field = tables[trl.class]![name]!
    expect(field.initial).toEqual(trl.default)
    expect(field.schema.safeParse(field.initial).success).toBe(true)

    // what TRL's type admits, the schema admits, or it is refused by name
    const kinds = kindsOf(field.schema)
    const parts = trl.type.split(' | ')
    const choices = trl.choices ?? []
    expect(kinds.nullable).toBe(parts.includes('None'))
    if (parts.includes('bool')) expect(kinds.boolean).toBe(true)
    if (parts.includes('int')) expect(kinds.integer).toBe(true)
    if (parts.includes('float')) expect(kinds.number).toBe(true)
    if (parts.includes('dict')) expect(kinds.mapping).toBe(true)
    if (parts.some((part) => part.startsWith('list'))) expect(kinds.list).toBe(true)
    if (parts.includes('str')) expect(kinds.text || kinds.choices.length > 0).toBe(true)
    if (field.status === 'honoured' && kinds.choices.length > 0 && choices.length > 0)
      expect([...kinds.choices, ...Object.keys(field.refuses)].sort()).toEqual([...choices].sort())
    if (field.status !== 'honoured') for (const value of choices) expect(kinds.text || kinds.choices.includes(value)).toBe(true)

    // every line says something, and is a phrase without a full stop (help and errors add it)
    const line = field.status === 'honoured' ? field.help : field.status === 'subsumed' ? field.by : field.why
    const { fields } = verbs.find(({ config }) => config === trl.class) ?? verbs[0]!
    expect(spelled(line, spelling(fields))).toMatch(/^.{10,160}[^.]$/)
  })
})
