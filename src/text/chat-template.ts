/**
 * A chat template (Jinja, as checkpoints carry them) rendered as transformers renders it: blocks trimmed, message keys that are null
 * left out, reasoning under each of its names. `{% generation %}` blocks say what the assistant wrote; what the text is made of tells
 * which messages a template left out.
 */
import { option, SaqrError, say } from '../error.ts'
import { exactEntries } from '../hub/json-exact.ts'
import type { Stmt } from './jinja/ast.ts'
import { toValue } from './jinja/convert.ts'
import { TemplateError } from './jinja/error.ts'
import { defineGlobals } from './jinja/globals.ts'
import { parse } from './jinja/parser.ts'
import { heldBy, Provenance } from './jinja/provenance.ts'
import { Renderer, type Span } from './jinja/render.ts'
import { Scope } from './jinja/scope.ts'
import { Dict, type Value } from './jinja/values.ts'

export type { Span } from './jinja/render.ts'

/** A message of a conversation: what a template reads of it is the template’s matter. */
export interface Message {
  /** who speaks: system, user, assistant, tool, or what else the template knows */
  role: string
  /** what is said: a text, or a list of text parts */
  content?: unknown
  [key: string]: unknown
}

/** How messages are put into the chat template. */
export interface ChatOptions {
  /** end with what begins the assistant's answer */
  addGenerationPrompt?: boolean
  /** JSON schemas of functions the model may call */
  tools?: readonly unknown[] | null
  /** documents that the answer may rest on, for templates that print them */
  documents?: readonly unknown[] | null
  /** further variables of the template */
  variables?: Readonly<Record<string, unknown>>
  /** what `strftime_now` tells; fix it and a run gives the same tokens on another day */
  now?: Date
  /** as assistantOnlyLoss trains: a known template that does not say what the assistant wrote gives way to one that does */
  training?: boolean
  /** messages (from 0) of the assistant that are not to be learned: no token of theirs is in the mask */
  unlearned?: readonly number[]
  /** named in errors: file and row */
  where?: string
}

export interface Rendered {
  text: string
  /** what `{% generation %}` blocks wrote, in order; null: a block's text is not printed as it is, so it has no place */
  spans: Span[] | null
  /** of each span, the messages (from 0) that it is made of */
  writers: readonly (readonly number[])[]
  /** whether the text holds anything of a field of a message or, where that is a list, of its item; 'tools' of −1 stands for the tools */
  holds: (message: number, field: string, item?: number) => boolean
}

export class ChatTemplate {
  /** false: no row can have an assistant mask */
  readonly marksGeneration: boolean
  readonly #source: string
  readonly #program: readonly Stmt[]

  /** @throws SaqrError TEXT_TEMPLATE_INVALID */
  constructor(source: string) {
    this.#source = source
    try {
      this.#program = parse(source)
      this.marksGeneration = marks(this.#program)
    } catch (cause) {
      throw new SaqrError(
        'TEXT_TEMPLATE_INVALID',
        say`The chat template can't be read: ${(cause as Error).message}. Give another one (${option('chatTemplate')}).`,
        { cause },
      )
    }
  }

  /** The template names the role (`'tool'`): it says itself what becomes of such a message. */
  names(role: string): boolean {
    return this.#source.includes(`'${role}'`) || this.#source.includes(`"${role}"`)
  }

  /** @throws SaqrError TEXT_TEMPLATE_ROW: the template refuses these messages, or uses what is not supported */
  render(messages: readonly Message[], special: Readonly<Record<string, string>>, options: ChatOptions = {}): Rendered {
    if (messages.length === 0) throw rowError(options.where, 'there is no message')
    const provenance = new Provenance()
    const renderer = new Renderer(provenance)
    try {
      const text = renderer.render(this.#program, scopeOf(messages, special, options, provenance))
      const { spans, writers, generationIsHidden } = renderer
      return { text, spans: generationIsHidden ? null : spans, writers, holds: heldBy(provenance.reads) }
    } catch (cause) {
      if (!(cause instanceof TemplateError) && !(cause instanceof RangeError)) throw cause
      throw rowError(options.where, cause.message, cause, provenance.last)
    }
  }
}

function scopeOf(
  messages: readonly Message[],
  special: Readonly<Record<string, string>>,
  options: ChatOptions,
  provenance: Provenance,
): Scope {
  const scope = new Scope()
  defineGlobals(scope, options.now ?? new Date())
  const given = messages.map((message, i) => {
    const value = withReasoning(withoutNulls(toValue(message) as Dict))
    provenance.follow(value, String(i))
    return value
  })
  const tools = toValue(options.tools ?? null)
  provenance.follow(tools, '-1', 'tools')
  const variables: Record<string, Value> = {
    ...special,
    ...Object.fromEntries(exactEntries(options.variables ?? {}).map(([name, value]) => [name, toValue(value)])),
    messages: given,
    tools,
    documents: toValue(options.documents ?? null),
    add_generation_prompt: options.addGenerationPrompt ?? false,
  }
  for (const [name, value] of Object.entries(variables)) scope.set(name, value)
  return scope
}

/** As it is read, whatever the tags' signs: transformers' own look at the source misses `{%+ generation %}`, which it then marks like the others. */
const marks = (node: unknown): boolean =>
  typeof node === 'object' && node !== null && (isMark(node as Stmt) || Object.values(node).some(marks))

const isMark = ({ type }: Stmt) => type === 'generation' || type === 'mark'

const withoutNulls = (message: Dict) => new Dict(message.entries().filter(([, value]) => value !== null))

/** A message's reasoning goes by several names; templates read `reasoning_content` or `thinking`. */
function withReasoning(message: Dict): Dict {
  const reasoning = message.get('reasoning_content') ?? message.get('thinking') ?? message.get('reasoning')
  if (reasoning === undefined) return message
  return new Dict([['thinking', reasoning], ...message.entries(), ['reasoning_content', reasoning]])
}

export function rowError(where: string | undefined, why: string, cause?: unknown, message?: string): SaqrError {
  const at = message === undefined || message === '-1' ? '' : ` (at message ${Number(message) + 1})`
  return new SaqrError(
    'TEXT_TEMPLATE_ROW',
    say`${where ?? 'These messages'}: the chat template does not take the messages${at}: ${why}. Correct the row, or give another template (${option('chatTemplate')}).`,
    { cause },
  )
}
