/** Typed access to GGUF metadata: a value of the wrong type is an error that names its key. */
import { SaqrError } from '../../error.ts'
import { show } from '../json.ts'
import { Texts } from '../texts.ts'
import type { GgufHeader, GgufValue } from './header.ts'

export class Metadata {
  readonly path: string
  readonly values: ReadonlyMap<string, GgufValue>

  constructor(header: GgufHeader, path: string) {
    this.path = path
    this.values = header.metadata
  }

  has(key: string): boolean {
    return this.values.has(key)
  }

  /** A whole number that is not negative; `least` is the smallest allowed. Undefined where the key is absent. */
  optionalCount(key: string, least = 0): number | undefined {
    const value = this.same(key)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least) throw this.#wrong(key, `a whole number from ${least} on`)
    return value
  }

  count(key: string, least = 0): number {
    return this.optionalCount(key, least) ?? this.#missing(key)
  }

  optionalNumber(key: string): number | undefined {
    const value = this.values.get(key)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#wrong(key, 'a number')
    return value
  }

  number(key: string): number {
    return this.optionalNumber(key) ?? this.#missing(key)
  }

  optionalString(key: string): string | undefined {
    const value = this.values.get(key)
    if (value !== undefined && typeof value !== 'string') throw this.#wrong(key, 'text')
    return value
  }

  string(key: string): string {
    return this.optionalString(key) ?? this.#missing(key)
  }

  optionalBoolean(key: string): boolean | undefined {
    const value = this.values.get(key)
    if (value !== undefined && typeof value !== 'boolean') throw this.#wrong(key, 'true or false')
    return value
  }

  optionalTexts(key: string): Texts | undefined {
    const value = this.values.get(key)
    if (value === undefined || value instanceof Texts) return value
    throw this.#wrong(key, 'a list of texts')
  }

  texts(key: string): Texts {
    return this.optionalTexts(key) ?? this.#missing(key)
  }

  optionalNumbers(key: string): number[] | undefined {
    return this.#list(key, (v): v is number => typeof v === 'number', 'a list of numbers')
  }

  /** Some files give one value a layer where all are the same; layers that differ are another architecture. */
  same(key: string): GgufValue | undefined {
    const value = this.values.get(key)
    if (!Array.isArray(value)) return value
    if (value.length === 0 || value.some((v) => v !== value[0]))
      throw this.#wrong(key, 'the same for every layer; layers of different sizes are not supported')
    return value[0]
  }

  #list<T extends GgufValue>(key: string, fits: (v: GgufValue) => v is T, what: string): T[] | undefined {
    const value = this.values.get(key)
    if (value === undefined) return undefined
    if (!Array.isArray(value) || !value.every(fits)) throw this.#wrong(key, what)
    return value
  }

  #wrong(key: string, what: string): SaqrError {
    const value = this.values.get(key)
    return new SaqrError(
      'FORMAT_GGUF',
      `${this.path}: ${key} is ${show(value instanceof Texts ? value.toArray() : value)}; it must be ${what}.`,
    )
  }

  #missing(key: string): never {
    throw new SaqrError('FORMAT_GGUF', `${this.path} has no ${key} in its metadata, which a model needs. Convert the model to GGUF again.`)
  }
}
