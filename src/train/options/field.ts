/**
 * How an option is declared: once, under TRL's name, with a zod schema, TRL's default and what saqr does with it.
 *   honoured  does what it does in TRL
 *   subsumed  accepted, and nothing is left to do for it: one line says why
 *   refused   only its default is accepted: one line says why, and what to do instead
 * Types, flags, YAML keys, help and the API's camelCase names all come from these tables.
 */
import type { z } from 'zod'
import { Message, type Spelling } from '../../error.ts'
import type { Need, Needing } from '../../hub/need.ts'

/** A text of the tables; options in it are spelled for whoever reads. */
export type Text = string | Message

export function spelled(text: Text, spelling: Spelling): string {
  return text instanceof Message ? text.spelled(spelling) : text
}

export interface Honoured<S extends z.ZodType = z.ZodType> {
  readonly status: 'honoured'
  readonly schema: S
  readonly initial: z.output<S>
  readonly help: Text
  /** values that TRL knows and saqr refuses, each with the reason and what to do */
  readonly refuses: Readonly<Record<string, Text>>
  /** without which it has no effect */
  readonly needs?: Need
}

export interface Subsumed<S extends z.ZodType = z.ZodType> {
  readonly status: 'subsumed'
  readonly schema: S
  readonly initial: z.output<S>
  readonly by: Text
}

export interface Refused<S extends z.ZodType = z.ZodType> {
  readonly status: 'refused'
  readonly schema: S
  readonly initial: z.output<S>
  readonly why: Text
  /** other values that ask for nothing either */
  readonly harmless: readonly z.output<S>[]
}

export type Field = Honoured | Subsumed | Refused
/** TRL's name -> field */
export type Fields = Readonly<Record<string, Field>>
/** Fields that help prints together. */
export interface Theme {
  readonly title: string
  readonly fields: Fields
}

export function honoured<S extends z.ZodType>(
  schema: S,
  initial: z.output<S>,
  help: Text,
  refuses: Readonly<Record<string, Text>> = {},
): Honoured<S> {
  return { status: 'honoured', schema, initial, help, refuses }
}

/** An option that means nothing unless `need` is met. */
export function beside<S extends z.ZodType>(need: Need, field: Honoured<S>): Honoured<S> {
  return { ...field, needs: need }
}

/** The options of a table that need others. */
export function needing(fields: Fields): Needing[] {
  return Object.entries(fields).flatMap(([name, field]) =>
    field.status === 'honoured' && field.needs ? [{ name: camel(name), initial: field.initial, needs: field.needs }] : [],
  )
}

/** The same table, of which no option asks for another. */
export function withoutNeeds(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, { ...field }]) => [name, 'needs' in field ? { ...field, needs: undefined } : field]),
  ) as Fields
}

export function subsumed<S extends z.ZodType>(schema: S, initial: z.output<S>, by: Text): Subsumed<S> {
  return { status: 'subsumed', schema, initial, by }
}

export function refused<S extends z.ZodType>(
  schema: S,
  initial: z.output<S>,
  why: Text,
  harmless: readonly z.output<S>[] = [],
): Refused<S> {
  return { status: 'refused', schema, initial, why, harmless }
}

/** The one rule from TRL's, HF's and PEFT's names to saqr's: an underscore goes and the next character is made upper case. */
export type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S

export function camel(name: string): string {
  return name.replace(/_(.)/g, (_, next: string) => next.toUpperCase())
}

/** The resolved options of a table: every honoured field under its camelCase name. */
export type OptionsOf<T extends Fields> = {
  [K in keyof T & string as T[K] extends Honoured ? Camel<K> : never]: z.output<T[K]['schema']>
}

/** What a program may pass: honoured fields, and subsumed ones for recipes brought along; refused ones are no part of the type. */
export type InputOf<T extends Fields> = {
  [K in keyof T & string as T[K] extends Refused ? never : Camel<K>]?: z.output<T[K]['schema']>
}
