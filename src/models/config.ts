/** Reads a config.json: every key a family uses is checked, what it can't do is refused by name. */
import { SaqrError } from '../error.ts'
import { means } from './meant.ts'

export type Json = Readonly<Record<string, unknown>>

/** keys for which transformers takes null too; for any other it is an error */
const NULLABLE: ReadonlySet<string> = new Set(['num_key_value_heads', 'attention_dropout', 'sliding_window'])

export class Config {
  readonly json: Json
  readonly modelType: string
  readonly #defaults: Json

  readonly #within: string

  /**
   * @param defaults the family's own in transformers, for keys that the file leaves out
   * @param within the key of config.json under which all of this stands
   */
  constructor(json: Json, modelType: string, defaults: Json = {}, within = '') {
    this.json = json
    this.modelType = modelType
    this.#defaults = defaults
    this.#within = within && `${within}.`
  }

  fail(key: string, why: string): never {
    throw new SaqrError('MODEL_CONFIG', `config.json of this ${this.modelType} model: ${this.#within}${key} ${why}`)
  }

  #value(key: string, fallback: unknown): unknown {
    const given = this.json[key]
    const value = given === undefined ? (this.#defaults[key] ?? fallback) : given === null && NULLABLE.has(key) ? fallback : given
    if (value !== undefined) means(this.json, key, value)
    return value
  }

  /** what a key comes to; see `meant.ts` */
  means(key: string, value: unknown, instead: readonly string[] = []): void {
    means(this.json, key, value, instead)
  }

  /** does the file say it, or the family's class? */
  has(key: string): boolean {
    return this.#value(key, undefined) !== undefined
  }

  /** a key of which the family takes no null, others do */
  notNull(key: string): void {
    if (this.json[key] === null) this.fail(key, 'is null: leave it out, or give its number')
  }

  /** a whole number ≥ least */
  count(key: string, fallback?: number, least = 1): number {
    const value = this.#value(key, fallback)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
      this.fail(key, `must be a whole number of at least ${least}, not ${JSON.stringify(value)}`)
    return value
  }

  number(key: string, fallback?: number): number {
    const value = this.#value(key, fallback)
    if (typeof value !== 'number' || !Number.isFinite(value)) this.fail(key, `must be a number, not ${JSON.stringify(value)}`)
    return value
  }

  /** a number above `least` (or at it, with `orEqual`) that f32 can hold: kernels compute with it */
  above(least: number, key: string, fallback?: number, { orEqual = false } = {}): number {
    const value = this.number(key, fallback)
    const held = Math.fround(value)
    if (!Number.isFinite(held) || held < least || (held === least && !(orEqual && value === least)))
      this.fail(key, `must be a number ${orEqual ? 'of at least' : 'above'} ${least} that f32 holds, not ${value}`)
    return value
  }

  /** a token's id, counted from the end where negative as torch counts; undefined where none is given */
  tokenId(key: string, vocab: number): number | undefined {
    const value = this.json[key] === undefined ? this.#defaults[key] : this.json[key]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < -vocab || value >= vocab)
      this.fail(key, `must be null or an id below ${vocab}, not ${JSON.stringify(value)}`)
    const id = value < 0 ? value + vocab : value
    this.means(key, id)
    return id
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#value(key, fallback)
    if (typeof value !== 'boolean') this.fail(key, `must be true or false, not ${JSON.stringify(value)}`)
    return value
  }

  /** undefined where there is none, or null */
  object(key: string): Json | undefined {
    const value = this.json[key]
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'object' || Array.isArray(value)) this.fail(key, `must be an object, not ${JSON.stringify(value)}`)
    return value as Json
  }

  /** the keys of the object at `key`, which may be left out */
  within(key: string, defaults: Json = {}): Config {
    return new Config(this.object(key) ?? {}, this.modelType, defaults, `${this.#within}${key}`)
  }

  /** the only value a family's forward knows for this key, and other spellings of it */
  only(key: string, supported: unknown, ...same: unknown[]): void {
    const value = this.#value(key, supported)
    if (value !== supported && !same.includes(value))
      this.fail(key, `is ${JSON.stringify(value)}: saqr's ${this.modelType} does ${JSON.stringify(supported)} only`)
    this.means(key, supported)
  }
}
