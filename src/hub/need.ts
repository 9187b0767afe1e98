/** What an option needs beside it to mean anything. Declared once, with the option; whoever resolves options looks. */
import { isDeepStrictEqual } from 'node:util'
import { Message, option, say } from '../error.ts'

export interface Need {
  /** of all options, as they are resolved */
  met(options: Readonly<Record<string, unknown>>): boolean
  /** completes "has no effect" */
  unless: string | Message
  /** Where the run would be another than was asked for: what it would be, and the option is an error; else it is told. */
  otherwise?: string | Message
}

/** of a branch, tag or commit on the Hub, beside a path */
export const ON_PATH = 'the files are taken as they lie there; leave it out, or name what lies on the Hub'

/** An option that may need others: its name in programs, its value where it asks for nothing. */
export interface Needing {
  name: string
  initial: unknown
  needs?: Need
}

/** Needs that the options don't meet, each with the options that have it; an option at its initial value asks for nothing. */
export function unmet(all: readonly Needing[], options: Readonly<Record<string, unknown>>): Map<Need, string[]> {
  const found = new Map<Need, string[]>()
  for (const { name, initial, needs } of all) {
    if (needs === undefined || options[name] === undefined || isDeepStrictEqual(options[name], initial) || needs.met(options)) continue
    found.set(needs, [...(found.get(needs) ?? []), name])
  }
  return found
}

/** "--lora_r and --lora_alpha have no effect without --use_peft: all weights would be trained" */
export function noEffect({ unless, otherwise }: Need, names: readonly string[]): Message {
  const said = names.map((name) => say`${option(name)}`)
  const listed = said.length === 1 ? said[0]! : Message.join([Message.join(said.slice(0, -1), ', '), said.at(-1)!], ' and ')
  const told = say`${listed} ${said.length === 1 ? 'has' : 'have'} no effect ${unless}`
  return otherwise === undefined ? told : say`${told}: ${otherwise}`
}
