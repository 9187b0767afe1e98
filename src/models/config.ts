/** Reads a config.json: every key a family uses is checked, what it can't do is refused by name. */
import { SaqrError } from '../error.ts'

type Json = Readonly<Record<string, unknown>>

export class Config {
  readonly json: Json
  readonly modelType: string

  constructor(json: Json, modelType: string) {
    this.json = json
    this.modelType = modelType
  }

  fail(key: string, why: string): never {
    throw new SaqrError('MODEL_CONFIG', `config.json of this ${this.modelType} model: ${key} ${why}`)
  }

  /** a whole number ≥ 1 */
  count(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
      this.fail(key, `must be a whole number of at least 1, not ${JSON.stringify(value)}`)
    return value
  }

  number(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) this.fail(key, `must be a number, not ${JSON.stringify(value)}`)
    return value
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.json[key] ?? fallback
    if (typeof value !== 'boolean') this.fail(key, `must be true or false, not ${JSON.stringify(value)}`)
    return value
  }

  /** the only value a family's forward knows for this key */
  only(key: string, supported: unknown, fallback: unknown = supported): void {
    const value = this.json[key] ?? fallback
    if (value !== supported) this.fail(key, `is ${JSON.stringify(value)}: saqr's ${this.modelType} does ${JSON.stringify(supported)} only`)
  }
}
