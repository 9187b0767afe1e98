/**
 * A command line -> values by TRL's names. Flags may be written with `_` or `-`, as `--flag value` or `--flag=value`; a boolean may stand
 * alone or take a word, or be denied as `--no_flag`; a list takes words up to the next flag.
 */
import { SaqrError, say } from '../error.ts'
import { expected } from '../train/options/expected.ts'
import type { Field, Fields } from '../train/options/field.ts'
import { type Given, refuseTwoNames, unknownOption } from '../train/options/resolve.ts'
import { fromText, fromWords, isBooleanWord, isNumber, type Kinds, kindsOf } from './text.ts'

/** other name -> name */
type Names = Readonly<Record<string, string>>

export interface Flags {
  given: Given[]
  /** words that belong to no flag */
  strays: Stray[]
}

export interface Stray {
  word: string
  /** the flag right before it, which took other words or none */
  after?: { said: string; takes: string }
}

/** @throws SaqrError OPTION_UNKNOWN (with the nearest name) or OPTION_INVALID (a value is missing or one too many) */
export function parseFlags(args: readonly string[], fields: Fields, renamed: Names = {}, short: Names = {}): Flags {
  const given: Given[] = []
  const strays: Stray[] = []
  let after: Stray['after']
  for (let i = 0; i < args.length; ) {
    const arg = args[i++]!
    if (arg === '--') {
      strays.push(...args.slice(i).map((word) => ({ word })))
      break
    }
    if (!isFlag(arg)) {
      strays.push({ word: arg, after })
      continue
    }
    const equals = arg.indexOf('=')
    const said = equals < 0 ? arg : arg.slice(0, equals)
    const { name, field, denied, old } = lookup(said, fields, renamed, short)
    const kinds = kindsOf(field.schema)
    after = { said, takes: denied ? 'no value' : kinds.boolean && !kinds.text ? 'true, false or nothing' : 'one value' }
    if (denied) {
      if (equals >= 0) throw new SaqrError('OPTION_INVALID', `${said} takes no value`)
      given.push({ name, said, old, value: false })
    } else if (equals >= 0) given.push({ name, said, old, value: read(kinds, [arg.slice(equals + 1)]) })
    else {
      const taken = following(args, i, kinds)
      if (taken.length === 0 && !kinds.boolean && field.status === 'refused')
        throw new SaqrError('OPTION_REFUSED', say`${said} is refused: ${field.why}`)
      if (taken.length === 0 && !kinds.boolean) throw new SaqrError('OPTION_INVALID', `${said} needs a value: ${expected(field.schema)}`)
      given.push({ name, said, old, value: taken.length === 0 ? true : read(kinds, taken) })
      i += taken.length
    }
  }
  refuseTwoNames(given)
  return { given, strays }
}

function isFlag(arg: string): boolean {
  return arg.startsWith('-') && arg.length > 1 && !isNumber(arg)
}

interface Found {
  name: string
  field: Field
  /** `--no_flag` */
  denied: boolean
  old: boolean
}

function lookup(said: string, fields: Fields, renamed: Names, short: Names): Found {
  const plain = said.replace(/^-+/, '').replaceAll('-', '_')
  const found = said.startsWith('--') ? findFlag(plain, fields, renamed, short) : undefined
  if (found) return found
  throw unknownOption({ said, name: Object.hasOwn(short, plain) ? short[plain]! : plain, value: undefined }, Object.keys(fields))
}

/** The flag of a name with underscores, as it is called now; undefined where there is none. */
export function findFlag(plain: string, fields: Fields, renamed: Names = {}, short: Names = {}): Found | undefined {
  const written = Object.hasOwn(short, plain) ? short[plain]! : plain
  const old = Object.hasOwn(renamed, written)
  const name = old ? renamed[written]! : written
  if (Object.hasOwn(fields, name)) return { name, field: fields[name]!, denied: false, old }
  const affirmed = name.replace(/^no_/, '')
  if (affirmed !== name && Object.hasOwn(fields, affirmed) && kindsOf(fields[affirmed]!.schema).boolean)
    return { name: affirmed, field: fields[affirmed]!, denied: true, old }
  return undefined
}

/** The words after a flag that are its value. */
function following(args: readonly string[], from: number, kinds: Kinds): string[] {
  let to = from
  while (to < args.length && !isFlag(args[to]!) && (kinds.list || to === from)) to++
  const words = args.slice(from, to)
  // a boolean's word is optional, so one that isn't true or false is none of its own
  if (kinds.boolean && !kinds.text && words.length > 0 && !isBooleanWord(words[0]!)) return []
  return words
}

function read(kinds: Kinds, words: readonly string[]): unknown {
  return kinds.list ? fromWords(kinds, words) : fromText(kinds, words[0]!)
}
