/**
 * What a chat template left out of a row. A template knows the roles it was written for and skips others without a word; a turn that
 * isn't in the text teaches nothing, and the row is another conversation without it. Known from the row's own rendering: a text that
 * was made of no part of a message's content lost it. Parts a template leaves out of a turn (its reasoning) are no loss.
 */
import { type Message, option, SaqrError, say } from '../error.ts'
import type { Message as ChatMessage, Rendered } from '../text/chat-template.ts'

interface Given {
  where: string
  tools: readonly unknown[] | null
}

/**
 * A note on what is missing beside a turn's calls, if anything.
 * @throws SaqrError DATA_TEMPLATE: a turn or a call is missing
 */
export function lostParts(messages: readonly ChatMessage[], { where, tools }: Given, holds: Rendered['holds']): string | undefined {
  let note: string | undefined
  for (const [i, message] of messages.entries()) {
    const calls = hasCalls(message)
    const told = { calls: calls && holds(i, 'tool_calls'), content: hasText(message.content) && holds(i, 'content') }
    if (calls && !told.calls) {
      throw lost(
        where,
        `the tool calls of message ${i + 1}`,
        say`Give one that prints tool calls (${option('chatTemplate')}), or put the calls into the message's content`,
      )
    }
    if (hasText(message.content) && !told.content && !told.calls) {
      throw lost(
        where,
        `message ${i + 1}, whose role is ${JSON.stringify(message.role)}`,
        say`Give one that knows the role (${option('chatTemplate')}), rename the role, or remove the message`,
      )
    }
    if (hasText(message.content) && !told.content)
      note = "the model's chat template prints a message's tool calls without the text beside them"
  }
  if (!note && tools && tools.length > 0 && !holds(-1, 'tools')) note = "the model's chat template does not print the tools"
  return note
}

const lost = (where: string, what: string, remedy: Message) =>
  new SaqrError('DATA_TEMPLATE', say`${where}: the model's chat template leaves out ${what}. ${remedy}.`)

const hasCalls = ({ tool_calls: calls }: ChatMessage) => Array.isArray(calls) && calls.length > 0

/** a text with more than white space, or a list with such a part */
function hasText(content: unknown): boolean {
  if (typeof content === 'string') return content.trim() !== ''
  return (
    Array.isArray(content) && content.some((part) => hasText(typeof part === 'object' ? (part as { text?: unknown } | null)?.text : part))
  )
}
