/** What a verb of the command line is: its options, declared in tables, and what it does with them. */

import { z } from 'zod'
import type { Spelling } from '../error.ts'
import type { TextOutput } from '../track/tracker.ts'
import type { Fields, OptionsOf, Theme } from '../train/options/field.ts'
import { honoured } from '../train/options/field.ts'
import type { Given } from '../train/options/resolve.ts'
import { flag, optionalText } from '../train/options/schemas.ts'

export interface Io {
  out: TextOutput
  err: TextOutput
  /** Asks whoever sits at the terminal; the answer is a line, or '' where input ends. Absent where nobody can answer. */
  readonly ask?: ((question: string) => Promise<string>) | undefined
  /** where lines come from; default: standard input */
  readonly input?: NodeJS.ReadableStream
  /** aborts at the first Ctrl-C; a verb that never asks for it is ended by that at once */
  readonly signal: AbortSignal
}

export interface Call<O> {
  options: O
  /** words that belong to no flag */
  words: string[]
  /** the options that were given, as they were */
  given: readonly Given[]
  /** how they are called here */
  spelling: Spelling
  io: Io
}

export interface Verb<T extends Fields = Fields> {
  readonly name: string
  readonly summary: string
  readonly usage: string
  readonly examples?: readonly string[]
  readonly fields: T
  readonly themes: readonly Theme[]
  /** older names of options */
  readonly renamed?: Readonly<Record<string, string>>
  /** other names of options on the command line */
  readonly short?: Readonly<Record<string, string>>
  /** may there be words that belong to no flag? */
  readonly words?: boolean
  /** is the file of --config what it works on, the first of its words, instead of options of its own? */
  readonly configIsWord?: boolean
  /** do its rows say what options mean together? then it resolves those given again, by the table that they are of */
  readonly resolvesLater?: boolean
  /** @returns the exit code */
  run(call: Call<OptionsOf<T>>): Promise<number>
}

/** Options of every verb. */
export const common = {
  config: honoured(optionalText, null, 'YAML file with options; flags on the command line win over it'),
  verbose: honoured(flag, false, 'print stack traces of errors'),
  help: honoured(z.union([z.boolean(), z.string()]), false, 'this page; with the name of an option, what that does'),
}

/** of a verb whose `configIsWord` */
export const itsConfig = honoured(optionalText, null, 'the YAML file, which may as well stand alone; its options are not those listed here')

/** Keeps the exact type of its table. */
export function defineVerb<T extends Fields>(verb: Verb<T>): Verb<T> {
  return verb
}
