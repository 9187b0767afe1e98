/**
 * src/train/options/config.ts and its like: the options of each trainer as interfaces, each with its documentation, from the tables that it is made of.
 * test/cli/docs.test.ts holds the file against them;
 *   npx vitest run test/cli/docs.test.ts -u
 * writes it anew.
 */
import type { z } from 'zod'
import { asPrograms } from '../src/error.ts'
import { common, ofSome } from '../src/train/options/common.ts'
import { cpoOptions } from '../src/train/options/cpo.ts'
import { dpoOptions } from '../src/train/options/dpo.ts'
import { camel, type Field, type Fields, type Refused, spelled } from '../src/train/options/field.ts'
import { ktoOptions } from '../src/train/options/kto.ts'
import { orpoOptions } from '../src/train/options/orpo.ts'
import { renamed, retired } from '../src/train/options/retired.ts'
import { configFields } from '../src/train/options/sft.ts'

interface Definition {
  type: string
  innerType?: z.ZodType
  options?: z.ZodType[]
  element?: z.ZodType
  entries?: Record<string, string>
  values?: unknown[]
}

interface Config {
  trainer: string
  /** the interface of what is given; absent: what all trainers share */
  given?: string
  filled: string
  fields: Fields
  /** names of older versions */
  older?: Fields
  /** fields that not every trainer has, each with what it means where it is missing */
  absent?: Readonly<Record<string, { field: Field; means: string }>>
}

/** A trainer, the names of its interfaces and the table behind them, by file. */
export const configs = {
  'common-config': { trainer: 'all trainers', filled: 'CommonOptions', fields: common, absent: ofSome },
  config: { trainer: 'SFTTrainer', given: 'SFTConfig', filled: 'TrainingOptions', fields: configFields, older: retired },
  'dpo-config': {
    trainer: 'DPOTrainer',
    given: 'DPOConfig',
    filled: 'DpoTrainingOptions',
    fields: dpoOptions.config,
    older: dpoOptions.older,
  },
  'orpo-config': {
    trainer: 'ORPOTrainer',
    given: 'ORPOConfig',
    filled: 'OrpoTrainingOptions',
    fields: orpoOptions.config,
    older: orpoOptions.older,
  },
  'kto-config': {
    trainer: 'KTOTrainer',
    given: 'KTOConfig',
    filled: 'KtoTrainingOptions',
    fields: ktoOptions.config,
    older: ktoOptions.older,
  },
  'cpo-config': {
    trainer: 'CPOTrainer',
    given: 'CPOConfig',
    filled: 'CpoTrainingOptions',
    fields: cpoOptions.config,
    older: orpoOptions.older,
  },
} satisfies Record<string, Config>

/** What all trainers take with the same words: in one interface, which theirs extend. */
const COMMON = { file: 'common-config', given: 'CommonConfig', filled: 'CommonOptions' } as const

export function configTypes(file: keyof typeof configs): string {
  return file === COMMON.file ? commonTypes() : trainerTypes(configs[file])
}

function trainerTypes(config: Config): string {
  const { trainer, given, filled } = config
  const shared = new Set([...sharedGiven(), ...filledMembers(configs[COMMON.file])])
  const own = (members: readonly string[]) => members.filter((one) => !shared.has(one))
  return lines([
    `/** Options of the ${trainer}. Written by tools/config-types.ts from the tables beside this file. */`,
    `import type { ${COMMON.given}, ${COMMON.filled} } from './${COMMON.file}.ts'`,
    '',
    `/** \`args\` of the ${trainer}: TRL’s names in camelCase, all optional; what is left out has TRL’s default. */`,
    ...interfaceOf(`${given} extends ${COMMON.given}`, own(givenMembers(config))),
    '',
    '/** The same with everything that was left out filled in. */',
    ...interfaceOf(`${filled} extends ${COMMON.filled}`, own(filledMembers(config))),
  ])
}

function commonTypes(): string {
  const config: Config = configs[COMMON.file]
  const absent = Object.entries(config.absent ?? {})
  return lines([
    '/** Options of all trainers, whatever they train towards. Written by tools/config-types.ts from the tables beside this file. */',
    '',
    '/** What `args` of all trainers take. */',
    ...interfaceOf(COMMON.given, sharedGiven()),
    '',
    '/** What a run goes by: options of all trainers, filled in. */',
    ...interfaceOf(COMMON.filled, [
      ...filledMembers(config),
      ...absent.map(([name, { field, means }]) => `  /** Absent: ${means}. */\n  ${camel(name)}?: ${typeOf(field.schema)}`),
    ]),
  ])
}

const lines = (list: readonly string[]) => `${list.join('\n')}\n`
const interfaceOf = (head: string, members: readonly string[]) => [
  '// biome-ignore format: written by a tool',
  `export interface ${head} {`,
  ...members,
  '}',
]

const everyField = ({ fields, older = {} }: Config) => Object.entries({ ...fields, ...older }) as [string, Field][]

function givenMembers(config: Config): string[] {
  const table = config.fields
  const older = Object.entries(renamed).filter(([, now]) => Object.hasOwn(table, now))
  return [
    ...everyField(config).map(([name, field]) => member(camel(name), '?', field, table)),
    ...older.map(([old, now]) => `  /** @deprecated Taken as \`${camel(now)}\`. */\n  ${camel(old)}?: ${typeOf(table[now]!.schema)}`),
  ]
}

function filledMembers(config: Config): string[] {
  const honoured = everyField(config).filter(([, field]) => field.status === 'honoured')
  return honoured.map(([name, field]) => member(camel(name), '', field, config.fields))
}

/** in the first one's order */
function sharedGiven(): string[] {
  const [first, ...others] = Object.values<Config>(configs)
    .filter(({ given }) => given !== undefined)
    .map(givenMembers)
  return first!.filter((one) => others.every((members) => members.includes(one)))
}

function member(name: string, optional: string, field: Field, table: Fields): string {
  return `  /** ${documentation(field, table)} */\n  ${name}${optional}: ${field.status === 'refused' ? nothing(field) : typeOf(field.schema)}`
}

function documentation(field: Field, table: Fields): string {
  if (field.status === 'subsumed') return sentence(`accepted, though there is nothing left for it to do: ${spelled(field.by, asPrograms)}`)
  if (field.status === 'refused')
    return sentence(`not supported, and accepted only where it asks for nothing: ${spelled(field.why, asPrograms)}`)
  const help = spelled(field.help, asPrograms).replace(/\b[a-z]+(_[a-z0-9]+)+\b/g, (word) =>
    Object.hasOwn(table, word) ? camel(word) : word,
  )
  const needs = field.needs ? `; no effect ${spelled(field.needs.unless, asPrograms)}` : ''
  return sentence(
    /default/.test(help)
      ? `${help}${needs}`
      : `${help}; default: ${typeof field.initial === 'string' ? field.initial : JSON.stringify(field.initial)}${needs}`,
  )
}

/** the values of a refused option that ask for nothing */
function nothing({ initial, harmless }: Refused): string {
  const values = [initial, ...harmless].map((value) =>
    Array.isArray(value) ? '[]' : isObject(value) ? 'Record<string, never>' : JSON.stringify(value),
  )
  return [...new Set(values)].join(' | ').replaceAll('"', "'")
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null

const sentence = (text: string) => `${text[0]!.toUpperCase()}${text.slice(1)}.`.replaceAll('*/', '* /')

function typeOf(schema: z.ZodType): string {
  const def = schema.def as unknown as Definition
  const quoted = (value: unknown) => (typeof value === 'string' ? `'${value}'` : String(value))
  switch (def.type) {
    case 'nullable':
      return `${typeOf(def.innerType!)} | null`
    case 'union':
      return def.options!.map(typeOf).join(' | ')
    case 'enum':
      return Object.values(def.entries!).map(quoted).join(' | ')
    case 'literal':
      return def.values!.map(quoted).join(' | ')
    case 'array': {
      const element = typeOf(def.element!)
      return element.includes('|') ? `(${element})[]` : `${element}[]`
    }
    case 'record':
      return 'Record<string, unknown>'
    default:
      return def.type
  }
}
