/**
 * Every error a user can cause is a `SaqrError`: a stable code for programs, and a message that says
 * what is wrong, where (file, row, key) and what to do about it.
 */
export class SaqrError extends Error {
  /** always `SaqrError` */
  override readonly name = 'SaqrError'
  /** Stable across versions: `FORMAT_…`, `MODEL_…`, `DATA_…`, `OPTION_…`, `MEMORY_…`, `DEVICE_…`, `TRAIN_…`, `RUNTIME_…`. */
  readonly code: string
  /** the option it speaks of, as programs write it (`maxLength`): the first that the message names */
  readonly option: string | undefined
  readonly #said: Message

  constructor(code: string, message: string | Message, options?: ErrorOptions) {
    const said = message instanceof Message ? message : new Message([typeof message === 'string' ? message : 'no message'])
    super(said.spelled(), options ?? {})
    this.code = code
    this.option = said.options[0]
    this.#said = said
  }

  /** the message with its options still open to spelling, to say more around it */
  get said(): Message {
    return this.#said
  }

  /** The message spells its options anew, for another reader than a program's. */
  respell(spelling: Spelling): void {
    const before = this.message
    this.message = this.#said.spelled(spelling)
    if (this.stack !== undefined) this.stack = this.stack.replace(before, () => this.message)
  }
}

/** An option's name in programs -> as it is written for whoever reads: `--max_length`, `max_length in run.yaml`. */
export type Spelling = (name: string) => string

export const asPrograms: Spelling = (name) => name

/** A text that names options, each spelled when it is read. */
export class Message {
  readonly #parts: readonly (string | OptionName)[]

  constructor(parts: readonly (string | OptionName)[]) {
    this.#parts = parts
  }

  /** names of the options in it */
  get options(): string[] {
    return this.#parts.flatMap((part) => (typeof part === 'string' ? [] : [part.name]))
  }

  /** @param spelling default: as programs write them */
  spelled(spelling: Spelling = asPrograms): string {
    return this.#parts.map((part) => (typeof part === 'string' ? part : spelling(part.name))).join('')
  }

  static join(messages: readonly Message[], separator: string): Message {
    return new Message(messages.flatMap((message, i) => (i === 0 ? message.#parts : [separator, ...message.#parts])))
  }

  /** Template tag: `say\`set ${option('maxLength')} to ${n}\``. */
  static of(strings: TemplateStringsArray, ...values: unknown[]): Message {
    const parts = (value: unknown) => {
      if (value instanceof Message) return value.#parts
      return [value instanceof OptionName ? value : String(value)]
    }
    return new Message(strings.flatMap((text, i) => (i < values.length ? [text, ...parts(values[i])] : [text])))
  }
}

class OptionName {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** The option of this name (as programs write it) within a message. */
export const option = (name: string): OptionName => new OptionName(name)
export const say = Message.of
