/**
 * A message's content is a text or a list of parts, and templates are written for the one or the other: what they don't know they leave
 * out, refuse, or print as Python's list. A text and a list of that one text mean the same, so a template is given the form it takes.
 */
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import { otherForm } from './content.ts'
import { contentLoss, type Made } from './lost.ts'

export interface InForm<T> {
  messages: readonly Message[]
  made: T
  note?: string
}

/** What `render` makes of the messages, those whose content is lost as it stands in their other form if that is printed. */
export function inForm<T extends Made>(messages: readonly Message[], render: (messages: readonly Message[]) => T): InForm<T> {
  const first = attempt(messages, render)
  const isOdd = (message: Message, i: number) =>
    'made' in first ? [0, 'all', 'form'].includes(contentLoss(message, i, first.made) ?? '') : Array.isArray(message.content)
  const odd = new Map(messages.map((message, i) => [i, otherForm(message.content)] as const).filter(([i]) => isOdd(messages[i]!, i)))
  if (odd.size > 0 && [...odd.values()].every((form) => form !== undefined)) {
    const other = messages.map((message, i) => (odd.has(i) ? { ...message, content: odd.get(i) } : message))
    const second = attempt(other, render)
    if ('made' in second && !other.some((message, i) => odd.has(i) && contentLoss(message, i, second.made) !== undefined))
      return { messages: other, made: second.made, note: noteOn([...odd.values()]) }
  }
  if ('error' in first) throw first.error
  return { messages, made: first.made }
}

/** The template may refuse messages in a form it does not take. */
function attempt<T>(messages: readonly Message[], render: (messages: readonly Message[]) => T): { made: T } | { error: SaqrError } {
  try {
    return { made: render(messages) }
  } catch (error) {
    if (error instanceof SaqrError && error.code === 'TEXT_TEMPLATE_ROW') return { error }
    throw error
  }
}

function noteOn(forms: readonly unknown[]): string {
  return forms.some(Array.isArray)
    ? "the model's chat template takes a message's content as a list of parts: a text is given to it as a list of one"
    : "the model's chat template takes a message's content as one text: a list of one text is given to it as that text"
}
