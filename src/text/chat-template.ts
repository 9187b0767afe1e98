/**
 * A chat template (Jinja, as checkpoints carry them) rendered as transformers renders it: blocks trimmed, message keys that are null
 * left out, reasoning under each of its names. `{% generation %}` blocks say what the assistant wrote; they are rendered as markers
 * that are taken out again, and a second rendering without them must give the same text.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { SaqrError } from '../error.ts'
import { definePythonFunctions, withPythonSemantics } from './python-semantics.ts'

export interface Message {
  role: string
  content?: unknown
  [key: string]: unknown
}

export interface ChatOptions {
  /** end with what begins the assistant's answer */
  addGenerationPrompt?: boolean
  /** JSON schemas of functions the model may call */
  tools?: readonly unknown[] | null
  documents?: readonly unknown[] | null
  /** further variables of the template */
  variables?: Readonly<Record<string, unknown>>
  /** what `strftime_now` tells; fix it and a run gives the same tokens on another day */
  now?: Date
  /** named in errors: file and row */
  where?: string
}

/** [start, end) in UTF-16 units of the rendered text */
export type Span = readonly [number, number]

/** Unicode noncharacters: never in text that is meant to be interchanged. */
const open = '\uFDD0'
const close = '\uFDD1'

export class ChatTemplate {
  /** false: no row can have an assistant mask */
  readonly marksGeneration: boolean
  readonly #program: ReturnType<typeof parse>

  /** @throws SaqrError TEXT_TEMPLATE_INVALID */
  constructor(source: string) {
    this.marksGeneration = /\{%-?\s*generation\s*-?%\}/.test(source)
    try {
      this.#program = withPythonSemantics(parse(tokenize(withMarkers(source), { lstrip_blocks: true, trim_blocks: true })))
    } catch (cause) {
      throw new SaqrError(
        'TEXT_TEMPLATE_INVALID',
        `The chat template can't be read: ${(cause as Error).message}. Give another one (chatTemplate).`,
        { cause },
      )
    }
  }

  /** @throws SaqrError TEXT_TEMPLATE_ROW: the template refuses these messages, or uses what is not supported */
  render(messages: readonly Message[], special: Readonly<Record<string, string>>, options: ChatOptions = {}): string {
    return this.#render(messages, special, options, '', '')
  }

  /** The text and the spans in it that `{% generation %}` blocks wrote. */
  renderSpans(
    messages: readonly Message[],
    special: Readonly<Record<string, string>>,
    options: ChatOptions = {},
  ): { text: string; spans: Span[] } {
    const plain = this.render(messages, special, options)
    const marked = this.#render(messages, special, options, open, close)
    const spans: Span[] = []
    let text = ''
    let start: number | undefined
    for (const piece of marked.split(/([\uFDD0\uFDD1])/)) {
      if (piece === open && start === undefined) start = text.length
      else if (piece === close && start !== undefined) {
        spans.push([start, text.length])
        start = undefined
      } else text += piece
    }
    if (text !== plain || start !== undefined) {
      throw rowError(
        options.where,
        'what the assistant wrote can not be told exactly: the template changes the text of its {% generation %} blocks',
      )
    }
    return { text, spans }
  }

  #render(
    messages: readonly Message[],
    special: Readonly<Record<string, string>>,
    options: ChatOptions,
    opening: string,
    closing: string,
  ): string {
    if (messages.length === 0) throw rowError(options.where, 'there is no message')
    const global = new Environment()
    for (const [name, value] of Object.entries(globals(options.now))) global.set(name, value)
    definePythonFunctions(global)
    const variables = new Environment(global)
    const given = {
      ...special,
      ...options.variables,
      messages: messages.map(withoutNulls).map(withReasoning),
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: options.addGenerationPrompt ?? false,
      [openName]: opening,
      [closeName]: closing,
    }
    for (const [name, value] of Object.entries(given)) variables.set(name, value)
    try {
      return (new Interpreter(variables).run(this.#program) as { value: string }).value
    } catch (cause) {
      throw rowError(options.where, (cause as Error).message, cause)
    }
  }
}

const openName = 'saqr_generation_open'
const closeName = 'saqr_generation_close'

/**
 * `{% generation %}` -> an expression that writes a marker, with the white space a block tag would take with it: all of it on the side
 * of a minus, else the indentation before it and the line break after it.
 */
function withMarkers(source: string): string {
  return source.replace(
    /(\s*)\{%(-?)\s*(end)?generation\s*(-?)%\}(\s*)/g,
    (_, before: string, left, end, right, after: string, at: number) => {
      const startsLine = /(^|\n)[ \t]*$/.exec(before)
      const indentation = startsLine && (startsLine[1] === '\n' || at === 0)
      const kept = left ? '' : indentation ? before.replace(/[ \t]*$/, '') : before
      return `${kept}{{ ${end ? closeName : openName} }}${right ? '' : after.replace(/^\n/, '')}`
    },
  )
}

const withoutNulls = (message: Message) =>
  Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined)) as Message

/** A message's reasoning goes by several names; templates read `reasoning_content` or `thinking`. */
function withReasoning(message: Message): Message {
  const reasoning = message.reasoning_content ?? message.thinking ?? message.reasoning
  return reasoning === undefined ? message : { thinking: reasoning, ...message, reasoning_content: reasoning }
}

function globals(now = new Date()): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: (message: string) => {
      throw new Error(message)
    },
    range: (...args: number[]) => {
      const [start, stop, step] = args.length === 1 ? [0, args[0]!, 1] : [args[0]!, args[1]!, args[2] ?? 1]
      return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step)
    },
    strftime_now: (format: string) => strftime(now, format),
  }
}

/** Python's strftime in the C locale, local time, as far as templates use it. */
function strftime(now: Date, format: string): string {
  const two = (n: number) => String(n).padStart(2, '0')
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(now)
  const parts: Record<string, () => string> = {
    '%Y': () => String(now.getFullYear()),
    '%y': () => two(now.getFullYear() % 100),
    '%m': () => two(now.getMonth() + 1),
    '%d': () => two(now.getDate()),
    '%H': () => two(now.getHours()),
    '%M': () => two(now.getMinutes()),
    '%S': () => two(now.getSeconds()),
    '%b': () => name({ month: 'short' }),
    '%B': () => name({ month: 'long' }),
    '%a': () => name({ weekday: 'short' }),
    '%A': () => name({ weekday: 'long' }),
    '%%': () => '%',
  }
  return format.replace(/%./g, (directive) => {
    const part = parts[directive]
    if (!part) throw new Error(`strftime_now is asked for ${directive}, which is not supported`)
    return part()
  })
}

function rowError(where: string | undefined, why: string, cause?: unknown): SaqrError {
  return new SaqrError('TEXT_TEMPLATE_ROW', `${where ?? 'These messages'}: the chat template does not take the messages: ${why}.`, {
    cause,
  })
}
