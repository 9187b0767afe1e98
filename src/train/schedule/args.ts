/** lr_scheduler_kwargs as they are read: what is unknown, wrong or missing is an error that names it. */
import { type Message, option, SaqrError, say } from '../../error.ts'
import { nearest } from '../../hub/nearest.ts'
import { camel } from '../options/field.ts'

/** by Python's names, or in camelCase */
export type Kwargs = Readonly<Record<string, unknown>>

/** arguments of transformers' functions that the trainer gives */
const OPTIONS: Readonly<Record<string, Message>> = {
  num_warmup_steps: say`${option('warmupSteps')}`,
  num_training_steps: say`${option('maxSteps')} or ${option('numTrainEpochs')}`,
}

export class Args {
  readonly type: string
  readonly #given: Kwargs

  constructor(type: string, given: Kwargs, names: readonly string[]) {
    this.type = type
    this.#given = Object.fromEntries(Object.entries(given).map(([key, value]) => [snakeOf(key, names) ?? this.#unknown(key, names), value]))
  }

  #unknown(key: string, names: readonly string[]): never {
    const own = OPTIONS[snakeOf(key, Object.keys(OPTIONS)) ?? '']
    if (own) throw new SaqrError('OPTION_INVALID', say`${option('lrSchedulerKwargs')} has ${key}, which is an option of its own: ${own}`)
    const close = nearest(key, names)
    const takes = names.length > 0 ? `it takes ${names.join(', ')}` : 'it takes none'
    throw new SaqrError(
      'OPTION_INVALID',
      say`${option('lrSchedulerKwargs')} has ${key}, which ${this.type} does not know: ${close ? `did you mean ${close}?` : takes}`,
    )
  }

  fail(message: string | Message): never {
    throw new SaqrError('OPTION_INVALID', say`${option('lrSchedulerKwargs')} of ${this.type}: ${message}`)
  }

  has(name: string): boolean {
    return this.#given[name] !== undefined && this.#given[name] !== null
  }

  number(name: string, initial?: number): number {
    const value = this.#given[name] ?? initial
    if (typeof value !== 'number' || !Number.isFinite(value))
      this.fail(value === undefined ? `${name} is needed, a number` : `${name} must be a number, not ${JSON.stringify(value)}`)
    return value
  }

  whole(name: string, initial?: number): number {
    const value = this.number(name, initial)
    if (!Number.isInteger(value) || value < 0) this.fail(`${name} must be a whole number of at least 0, not ${value}`)
    return value
  }

  word(name: string, initial: string, words: readonly string[]): string {
    const value = this.#given[name] ?? initial
    if (!words.includes(value as string)) this.fail(`${name} must be one of ${words.join(', ')}, not ${JSON.stringify(value)}`)
    return value as string
  }

  flag(name: string, initial: boolean): boolean {
    const value = this.#given[name] ?? initial
    if (typeof value !== 'boolean') this.fail(`${name} must be true or false, not ${JSON.stringify(value)}`)
    return value
  }
}

function snakeOf(key: string, names: readonly string[]): string | undefined {
  return names.find((name) => name === key || camel(name) === key)
}
