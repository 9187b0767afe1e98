/** Help, generated from the tables of options. */
import type { Spelling } from '../error.ts'
import { expected, listed } from '../train/options/expected.ts'
import { type Field, type Fields, type Honoured, spelled, type Text, type Theme } from '../train/options/field.ts'
import { spelling } from '../train/options/spelling.ts'
import { kindsOf } from './text.ts'

export interface VerbHelp {
  name: string
  summary: string
  /** what follows `saqr <verb>` */
  usage: string
  themes: readonly Theme[]
  /** lines to copy */
  examples?: readonly string[]
}

const INDENT = 34

/** The page of `saqr <verb> --help`, wrapped to `width` columns. */
export function verbHelp(verb: VerbHelp, width: number): string {
  const flags = spelling(Object.assign({}, ...verb.themes.map(({ fields }) => fields)))
  const parts = [`saqr ${verb.name}: ${verb.summary}`, `Usage: saqr ${verb.name} ${verb.usage}`]
  if (verb.examples) parts.push(['Examples', ...verb.examples.map((line) => `  ${line}`)].join('\n'))
  for (const theme of verb.themes) {
    const fields = Object.entries(theme.fields).filter((entry): entry is [string, Honoured] => entry[1].status === 'honoured')
    if (fields.length > 0) parts.push([theme.title, ...fields.map(([name, field]) => fieldLine(name, field, flags, width))].join('\n'))
  }
  const named = (status: Field['status']) => verb.themes.flatMap((theme) => names(theme.fields, status))
  if (named('subsumed').length > 0)
    parts.push(paragraph('Accepted, though there is nothing left for them to do:', named('subsumed'), width))
  if (named('refused').length > 0) parts.push(paragraph('Not supported; accepted only at their default:', named('refused'), width))
  parts.push(`saqr ${verb.name} --help NAME says more about one option.`)
  return `${parts.join('\n\n')}\n`
}

/** What `saqr <verb> --help NAME` says. */
export function fieldHelp(name: string, fields: Fields, width: number): string {
  const field = fields[name]!
  const flags = (text: Text) => spelled(text, spelling(fields))
  const head = `--${name} ${placeholder(field)}`.trimEnd()
  const lines = [head]
  if (field.status === 'honoured') {
    lines.push(...wrap(`${flags(field.help)}.`, width - 2), ...wrap(`takes ${expected(field.schema)}`, width - 2))
    // what happens where it is left out stands in the text already
    if (!/default/.test(flags(field.help))) lines.push(`default: ${initial(field)}`)
    if (field.needs) lines.push(...wrap(`no effect ${flags(field.needs.unless)}`, width - 2))
    for (const [why, values] of reasons(field, flags)) lines.push(...wrap(`refuses ${listed(values)}: ${why}`, width - 2))
  } else if (field.status === 'subsumed')
    lines.push(...wrap(`Accepted, though there is nothing left for it to do: ${flags(field.by)}.`, width - 2))
  else lines.push(...wrap(`Refused unless ${initial(field)}: ${flags(field.why)}.`, width - 2))
  return `${lines.map((line, i) => (i === 0 ? line : `  ${line}`)).join('\n')}\n`
}

/** reason -> the values that are refused for it */
function reasons({ refuses }: Honoured, flags: (text: Text) => string): Map<string, string[]> {
  const values = new Map<string, string[]>()
  for (const [value, why] of Object.entries(refuses)) values.set(flags(why), [...(values.get(flags(why)) ?? []), value])
  return values
}

function names(fields: Fields, status: Field['status']): string[] {
  return Object.keys(fields).filter((name) => fields[name]!.status === status)
}

function fieldLine(name: string, field: Honoured, flags: Spelling, width: number): string {
  const flag = `  --${name} ${placeholder(field)}`.trimEnd()
  const suffix =
    field.initial === null || field.initial === false
      ? ''
      : field.initial === true
        ? ` (on; --no_${name} turns it off)`
        : ` (default: ${initial(field)})`
  const [first = '', ...rest] = wrap(spelled(field.help, flags) + suffix, Math.max(30, width - INDENT))
  const lines = rest.map((line) => ' '.repeat(INDENT) + line)
  if (flag.length > INDENT - 2) return [flag, ' '.repeat(INDENT) + first, ...lines].join('\n')
  return [flag.padEnd(INDENT) + first, ...lines].join('\n')
}

function placeholder(field: Field): string {
  const kinds = kindsOf(field.schema)
  if (kinds.list) return kinds.choices.length > 0 ? `${kinds.choices.join('|')} …` : 'NAME …'
  if (kinds.choices.length > 0) return kinds.choices.length > 4 ? 'NAME' : kinds.choices.join('|')
  if (kinds.mapping) return 'JSON'
  if (kinds.text) return kinds.number ? 'SIZE' : 'TEXT'
  if (kinds.number) return 'NUMBER'
  return kinds.integer ? 'N' : ''
}

function initial(field: Field): string {
  if (field.initial === null) return 'none'
  if (typeof field.initial === 'number' && field.initial > 0 && field.initial < 1e-3) return field.initial.toExponential()
  return typeof field.initial === 'string' ? field.initial || "''" : JSON.stringify(field.initial)
}

function paragraph(title: string, words: string[], width: number): string {
  return [title, ...wrap(words.join(', '), width - 2).map((line) => `  ${line}`)].join('\n')
}

/** Words in lines of at most `width` characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines
}
