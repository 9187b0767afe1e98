/**
 * docs/options.md: every option of `saqr sft`, and docs/options-preferences.md: what the verbs that train on preferences have beside or otherwise,
 * from the tables that they are made of. test/cli/docs.test.ts holds the pages against them;
 *   npx vitest run test/cli/docs.test.ts -u
 * writes it anew.
 */
import { kindsOf } from '../src/cli/text.ts'
import { cpoOptions } from '../src/train/options/cpo.ts'
import { dpoOptions } from '../src/train/options/dpo.ts'
import { camel, type Field, type Fields, spelled, type Text, type Theme } from '../src/train/options/field.ts'
import { ktoOptions } from '../src/train/options/kto.ts'
import { orpoOptions } from '../src/train/options/orpo.ts'
import { renamed, retired } from '../src/train/options/retired.ts'
import { sftFields, sftThemes, trainingFields } from '../src/train/options/sft.ts'
import { spelling } from '../src/train/options/spelling.ts'

type Flags = (text: Text) => string
const flagsOf = (fields: Fields): Flags => {
  const everyFlag = spelling(fields)
  return (text) => spelled(text, everyFlag)
}

export function optionsPage(): string {
  const lines = [
    '# Options',
    '',
    '`saqr sft` takes every option of `trl sft` (TRL 1.16), as flags and in the YAML file of `--config`. In programs they are, in camelCase, `args` of the `SFTTrainer`;',
    'those of the model, its adapter and its device belong to `FastLanguageModel`, those of data sets to `loadDataset`, and an error says so.',
    'Each is *honoured* (does what it does in TRL), *subsumed* (accepted; nothing is left to do for it) or *refused* (only its default is accepted).',
    '`saqr sft --help NAME` says the same about one of them.',
  ]
  const flags = flagsOf(sftFields)
  for (const { title, fields } of sftThemes) lines.push('', `## ${title}`, ...table(Object.entries(fields), flags))
  lines.push('', '## Names of older versions', '', '| option | |', '|---|---|')
  for (const [old, now] of Object.entries(renamed)) lines.push(row(`\`--${old}\``, `taken as \`--${now}\``))
  for (const [name, field] of Object.entries(retired)) lines.push(row(`\`--${name}\``, meaning(field, flags)))
  return `${lines.join('\n')}\n`
}

interface PreferenceVerb {
  verb: string
  trainer: string
  /** a line or two */
  about: string
  fields: Fields
  training: Fields
  themes: readonly Theme[]
}

export const preferenceVerbs: readonly PreferenceVerb[] = [
  {
    verb: 'dpo',
    trainer: 'DPOTrainer',
    about: 'It takes every option of `trl dpo`.',
    fields: dpoOptions.fields,
    training: dpoOptions.training,
    themes: dpoOptions.themes,
  },
  {
    verb: 'orpo',
    trainer: 'ORPOTrainer',
    about:
      'It takes every option of TRL’s experimental ORPOConfig, which has no command there. A mixture’s balance loss is no part of it. `logits/chosen` and `logits/rejected`, which are means over padding in TRL, are not logged.',
    fields: orpoOptions.fields,
    training: orpoOptions.training,
    themes: orpoOptions.themes,
  },
  {
    verb: 'kto',
    trainer: 'KTOTrainer',
    about:
      'It takes every option of `trl kto`. Rows come in their order, and each is trained beside the answer of its neighbour in the micro-batch; pairs of chosen and rejected are taken apart.',
    fields: ktoOptions.fields,
    training: ktoOptions.training,
    themes: ktoOptions.themes,
  },
  {
    verb: 'cpo',
    trainer: 'CPOTrainer',
    about:
      'It takes every option of TRL’s experimental CPOConfig, which has no command there. SimPO is `loss_type` simpo with `cpo_alpha` 0. A mixture’s balance loss is no part of it, and `logits/*` are not logged, as with ORPO.',
    fields: cpoOptions.fields,
    training: cpoOptions.training,
    themes: cpoOptions.themes,
  },
]

export function preferencesPage(): string {
  const lines = [
    '# Options of preference training',
    '',
    `${preferenceVerbs.map(({ verb }) => `\`saqr ${verb}\``).join(', ')} take the options of [\`saqr sft\`](options.md) but for those named here: what they have beside, or what means something else there.`,
    'Names are TRL 1.16’s; in programs they are, in camelCase, `args` of the trainer.',
  ]
  const known: Fields = sftFields
  for (const { verb, trainer, about, fields, training, themes } of preferenceVerbs) {
    const flags = flagsOf(fields)
    lines.push('', `## saqr ${verb} (${trainer})`, '', about)
    const without = Object.keys(trainingFields).filter((name) => !Object.hasOwn(training, name) && !Object.hasOwn(fields, name))
    lines.push(`It has no ${without.map((name) => `\`${name}\``).join(', ')}.`)
    for (const { title, fields } of themes) {
      const own = Object.entries(fields).filter(([name, field]) => known[name] !== field)
      if (own.length > 0) lines.push('', `### ${title}`, ...table(own, flags))
    }
  }
  return `${lines.join('\n')}\n`
}

function table(fields: [string, Field][], flags: Flags): string[] {
  const rows = fields.map(([name, field]) => row(`\`--${name}\``, `\`${camel(name)}\``, `\`${initial(field)}\``, meaning(field, flags)))
  return ['', '| option | in programs | default | |', '|---|---|---|---|', ...rows]
}

function meaning(field: Field, flags: Flags): string {
  if (field.status === 'subsumed') return `*subsumed:* ${flags(field.by)}`
  if (field.status === 'refused') return `*refused:* ${flags(field.why)}`
  const { choices } = kindsOf(field.schema)
  const listed = choices.length > 1 ? ` (${choices.map((choice) => `\`${choice}\``).join(', ')})` : ''
  const reasons = Object.entries(field.refuses).map(([value, why]): [string, string] => [value, flags(why)])
  const grouped = new Map(reasons.map(([, why]) => [why, reasons.filter(([, other]) => other === why).map(([value]) => `\`${value}\``)]))
  const refused = [...grouped].map(([why, values]) => `; refuses ${values.join(', ')}: ${why}`)
  const needs = field.needs ? `; no effect ${flags(field.needs.unless)}` : ''
  return `${flags(field.help)}${listed}${needs}${refused.join('')}`
}

function initial(field: Field): string {
  return typeof field.initial === 'string' ? field.initial || "''" : JSON.stringify(field.initial)
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
