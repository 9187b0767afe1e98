/**
 * A message's content is a text or a list of parts, and templates are written for the one or the other: what they don't know they leave
 * out, refuse, or print as Python's list. A text and a list of that one text mean the same, so a template is given the form it takes.
 * How several parts become one text (with spaces, lines or nothing between) only their writer knows.
 */
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import { textOfPart } from './content.ts'
import { contentLoss, formError, type Made } from './lost.ts'

export interface InForm<T> {
  messages: readonly Message[]
  made: T
  note?: string
}

type Render<T> = (messages: readonly Message[]) => T

/**
 * What `render` makes of the messages; those whose content is lost as it stands are given in their other form, if that is printed.
 * @throws SaqrError DATA_TEMPLATE: it would be, but there are several parts; what `render` throws
 */
export function inForm<T extends Made>(messages: readonly Message[], where: string, render: Render<T>): InForm<T> {
  const first = attempt(messages, render)
  const isOdd = (message: Message, i: number) =>
    'made' in first ? ['all', 'form'].includes(String(contentLoss(message, i, first.made))) : Array.isArray(message.content)
  const other = messages.map((message, i) => (isOdd(message, i) ? { ...message, content: otherForm(message.content) } : message))
  const changed = other.flatMap(({ content }, i) => (content === messages[i]!.content ? [] : [i]))
  const second = changed.length > 0 ? attempt(other, render) : first
  if (second !== first && 'made' in second && changed.every((i) => contentLoss(other[i]!, i, second.made) === undefined)) {
    for (const i of changed) requireOne(messages[i]!.content, i, where)
    return { messages: other, made: second.made, note: noteOn(changed.map((i) => other[i]!.content)) }
  }
  if ('error' in first) throw first.error
  return { messages, made: first.made }
}

/** The template may refuse messages in a form it does not take. */
function attempt<T>(messages: readonly Message[], render: Render<T>): { made: T } | { error: SaqrError } {
  try {
    return { made: render(messages) }
  } catch (error) {
    if (error instanceof SaqrError && error.code === 'TEXT_TEMPLATE_ROW') return { error }
    throw error
  }
}

/** A text as a list of one part; a list of texts as one, to see whether that would be taken; else the content. */
function otherForm(content: unknown): unknown {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  const texts = Array.isArray(content) ? content.map(textOfPart) : [undefined]
  return texts.includes(undefined) ? content : texts.join('\n')
}

function requireOne(content: unknown, i: number, where: string): void {
  if (Array.isArray(content) && content.length > 1) throw formError(where, `that of message ${i + 1} is a list of ${content.length} parts`)
}

function noteOn(forms: readonly unknown[]): string {
  return forms.some(Array.isArray)
    ? "the model's chat template takes a message's content as a list of parts: a text is given to it as a list of one"
    : "the model's chat template takes a message's content as one text: a list of one text is given to it as that text"
}
