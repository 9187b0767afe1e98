/**
 * docs/options.md: every option of `saqr sft`, from the tables that it is made of. test/cli/docs.test.ts holds the page against them;
 *   npx vitest run test/cli/docs.test.ts -u
 * writes it anew.
 */
import { kindsOf } from '../src/cli/text.ts'
import { camel, type Field, spelled, type Text } from '../src/train/options/field.ts'
import { renamed, retired } from '../src/train/options/retired.ts'
import { sftFields, sftThemes } from '../src/train/options/sft.ts'
import { spelling } from '../src/train/options/spelling.ts'

const everyFlag = spelling(sftFields)
const flags = (text: Text) => spelled(text, everyFlag)

export function optionsPage(): string {
  const lines = [
    '# Options',
    '',
    '`saqr sft` takes every option of `trl sft` (TRL 1.16), as flags and in the YAML file of `--config`. In programs they are, in camelCase, `args` of the `SFTTrainer`;',
    'those of the model, its adapter and its device belong to `FastLanguageModel`, those of data sets to `loadDataset`, and an error says so.',
    'Each is *honoured* (does what it does in TRL), *subsumed* (accepted; nothing is left to do for it) or *refused* (only its default is accepted).',
    '`saqr sft --help NAME` says the same about one of them.',
  ]
  for (const { title, fields } of sftThemes) {
    lines.push('', `## ${title}`, '', '| option | in programs | default | |', '|---|---|---|---|')
    for (const [name, field] of Object.entries(fields))
      lines.push(row(`\`--${name}\``, `\`${camel(name)}\``, `\`${initial(field)}\``, meaning(field)))
  }
  lines.push('', '## Names of older versions', '', '| option | |', '|---|---|')
  for (const [old, now] of Object.entries(renamed)) lines.push(row(`\`--${old}\``, `taken as \`--${now}\``))
  for (const [name, field] of Object.entries(retired)) lines.push(row(`\`--${name}\``, meaning(field)))
  return `${lines.join('\n')}\n`
}

function meaning(field: Field): string {
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
