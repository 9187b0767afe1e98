/** `saqr <verb> …`: finds the verb, reads its options, runs it, and turns errors into one clear line and an exit code. */
import { SaqrError } from '../error.ts'
import { nearest } from '../hub/nearest.ts'
import { version } from '../hub/version.ts'
import { withoutNeeds } from '../train/options/field.ts'
import { type Given, resolve } from '../train/options/resolve.ts'
import { spelling } from '../train/options/spelling.ts'
import { told } from './fault.ts'
import { findFlag, parseFlags, type Stray } from './flags.ts'
import { fieldHelp, verbHelp } from './help.ts'
import { unknownCommand } from './unknown-command.ts'
import { common, type Io, itsConfig, type Verb } from './verb.ts'

export interface VerbEntry {
  name: string
  summary: string
  load(): Promise<Verb>
}

/** as shells count an end by SIGINT */
export const INTERRUPTED = 130

/** @returns the exit code: 0, 1 after an error, or what the verb says (130 when it was interrupted) */
export async function run(args: readonly string[], io: Io, verbs: readonly VerbEntry[]): Promise<number> {
  const verbose = args.includes('--verbose')
  try {
    return await dispatch(args, io, verbs)
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return INTERRUPTED
    io.err.write(describe(error, verbose))
    return 1
  }
}

async function dispatch(args: readonly string[], io: Io, verbs: readonly VerbEntry[]): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) {
    io.out.write(overview(verbs))
    return name === undefined ? 1 : 0
  }
  if (name === '--version' || name === '-v') {
    io.out.write(`${version()}\n`)
    return 0
  }
  if (name === 'help') return await dispatch([...rest.slice(0, 1), '--help', ...rest.slice(1)], io, verbs)
  const entry = verbs.find((verb) => verb.name === name)
  if (!entry)
    throw unknownCommand(
      name,
      verbs.map((verb) => verb.name),
    )
  return await call(await entry.load(), rest, io)
}

async function call(verb: Verb, args: readonly string[], io: Io): Promise<number> {
  const fields = { ...verb.fields, ...common }
  const flags = parseFlags(
    args.map((arg) => (arg === '-h' ? '--help' : arg)),
    fields,
    verb.renamed,
    verb.short,
  )
  const help = last(flags.given, 'help')?.value
  if (help !== undefined && help !== false) {
    io.out.write(helpOn(verb, help, io.out.columns))
    return 0
  }
  const config = last(flags.given, 'config')
  const words = flags.strays.map(({ word }) => word)
  if (config && verb.configIsWord) words.push(String(config.value))
  // the YAML parser is loaded where there is YAML
  const file =
    config && !verb.configIsWord
      ? (await import('./config-file.ts')).readConfig(String(config.value), fields, verb.renamed)
      : { given: [], env: {} }
  Object.assign(process.env, file.env)
  const given = [...file.given, ...flags.given]
  try {
    const { options, notes } = resolve(verb.resolvesLater ? withoutNeeds(fields) : fields, given)
    if (flags.strays.length > 0 && !verb.words) throw unexpected(verb, flags.strays[0]!)
    for (const note of notes) io.err.write(`${note}\n`)
    return await verb.run({ options, words, given, spelling: spelling(fields, given), io })
  } catch (error) {
    if (error instanceof SaqrError) error.respell(spelling(fields, given))
    throw error
  }
}

/** A word that no option takes, with what was most likely meant. */
function unexpected({ name, fields }: Verb, { word, after }: Stray): SaqrError {
  const meant = /\.ya?ml$/i.test(word)
    ? `--config ${word}`
    : /\.(jsonl?|ndjson|csv|parquet)$/i.test(word) && Object.hasOwn(fields, 'dataset_name')
      ? `--dataset_name ${word}`
      : undefined
  const why = after === undefined ? 'options begin with --' : `${after.said} takes ${after.takes}; put quotes around a value with spaces`
  return new SaqrError('OPTION_INVALID', `saqr ${name} has no use for ${word}: ${meant ? `did you mean ${meant}?` : why}`)
}

function last(given: readonly Given[], name: string): Given | undefined {
  return given.findLast((one) => one.name === name)
}

function helpOn(verb: Verb, help: unknown, columns: number): string {
  const everywhere = verb.configIsWord ? { ...common, config: itsConfig } : common
  if (help === true) return verbHelp({ ...verb, themes: [...verb.themes, { title: 'Every command', fields: everywhere }] }, columns)
  const name = String(help).replace(/^-+/, '').replaceAll('-', '_')
  const fields = { ...verb.fields, ...everywhere }
  const found = findFlag(name, fields, verb.renamed, verb.short)
  if (found) {
    const older = found.old ? `--${name} is an older name of --${found.name}.\n` : ''
    return older + fieldHelp(found.name, fields, columns)
  }
  const close = nearest(name, Object.keys(fields))
  throw new SaqrError(
    'OPTION_UNKNOWN',
    `saqr ${verb.name} has no option ${name}${close ? `; did you mean ${close}?` : `; saqr ${verb.name} --help lists them`}`,
  )
}

function overview(verbs: readonly VerbEntry[]): string {
  const lines = verbs.map((verb) => `  saqr ${verb.name.padEnd(12)}${verb.summary}`)
  return [
    'saqr fine-tunes large language models.',
    'Usage: saqr <command> [options]',
    '',
    ...lines,
    '',
    'saqr <command> --help lists its options, saqr <command> --help NAME says more about one; saqr --version prints the version.',
    '',
  ].join('\n')
}

/** One line, code first; a mistake of ours asks to be shown whole. */
function describe(error: unknown, verbose: boolean): string {
  const stack = error instanceof Error ? error.stack : undefined
  if (verbose && stack) return `${stack}\n`
  const known = told(error)
  if (known) return `error ${known.code}: ${known.message}\n`
  return `error INTERNAL: ${error instanceof Error ? error.message : String(error)} (--verbose shows where)\n`
}
