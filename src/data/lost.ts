/**
 * What a chat template left out of a row. A template knows the roles it was written for and skips others without a word; a turn that
 * isn't in the text teaches nothing, and the row is another conversation without it. Known from the row's own rendering: a text that
 * was made of no part of a message's content lost it. Reasoning that a template leaves out of a turn that says more is a note where it is the
 * last turn's; templates leave it out of those before, as models don't see it again.
 */
import { type Message, option, SaqrError, say } from '../error.ts'
import { isObject } from '../formats/json.ts'
import type { Message as ChatMessage, Rendered } from '../text/chat-template.ts'
import { asPython, scalarsOf } from '../text/jinja/spelled.ts'
import { reasoningFields, reasoningOf, textOfPart } from './content.ts'

export interface Given {
  where: string
  tools: readonly unknown[] | null
}

export type Made = Pick<Rendered, 'text' | 'holds'>

/** All of it, its form (what is no text is printed as Python writes it, or in part), or the part of this number. */
type Loss = 'all' | 'form' | number

/** What is lost of a message's content, if anything. */
export function contentLoss({ content }: ChatMessage, i: number, { text, holds }: Made): Loss | undefined {
  if (!isGiven(content)) return hasText(content) && !holds(i, 'content') ? 'all' : undefined
  if (spellings(content).some((spelled) => text.includes(spelled))) return 'form'
  if (!isParts(content)) {
    const isTold = (scalar: string) => text.includes(scalar) || text.includes(JSON.stringify(scalar).slice(1, -1))
    return !holds(i, 'content') ? 'all' : scalarsOf(content).every(isTold) ? undefined : 'form'
  }
  const lost = content.findIndex((part, at) => hasText(textOfPart(part)) && !holds(i, 'content', at))
  if (lost === -1) return undefined
  return content.some((_, at) => holds(i, 'content', at)) ? lost : 'all'
}

const isGiven = (content: unknown): content is object => typeof content === 'object' && content !== null

/** A list of texts; else an object or a list that a tool gave. */
const isParts = (content: unknown): content is unknown[] =>
  Array.isArray(content) && content.every((part) => textOfPart(part) !== undefined || isReasoning(part))

/** The list or object and what it holds, as Python writes them, with its quotes, and JSON does not. */
const spellings = (content: object) =>
  (Array.isArray(content) ? [content, ...content] : [content])
    .filter(isGiven)
    .map(asPython)
    .filter((spelled) => /[[{ ]'/.test(spelled))

/**
 * Notes on what is missing beside a turn's calls, or printed otherwise than meant.
 * @throws SaqrError DATA_TEMPLATE: a turn, a part of one or a call is missing
 */
export function lostParts(messages: readonly ChatMessage[], { where, tools }: Given, made: Made): string[] {
  const notes = new Set<string>()
  for (const [i, message] of messages.entries()) {
    const calls = callsOf(message)
    const lostCall = calls.findIndex((_, at) => !made.holds(i, 'tool_calls', at))
    if (lostCall !== -1) throw lost(where, ...callRemedy(i, lostCall, calls))
    if (calls.some((call) => isQuotedTwice(call, made.text))) notes.add(QUOTED_TWICE)
    const loss = contentLoss(message, i, made)
    if (loss === 'form' || (loss !== undefined && calls.length === 0)) throw contentError(where, message, i, loss)
    if (loss !== undefined) notes.add("the model's chat template prints a message's tool calls without the text beside them")
    const isReasoningAlone = calls.length === 0 && !hasContent(message.content) && reasoningOf(message) !== ''
    if (isReasoningAlone && !reasoningFields.some((field) => made.holds(i, field)))
      throw lost(
        where,
        `message ${i + 1}, which holds reasoning alone`,
        say`Give one that prints it (${option('chatTemplate')}), or write it into the message's content`,
      )
  }
  const last = messages.length - 1
  if (last >= 0 && reasoningOf(messages[last]!) !== '' && !reasoningFields.some((field) => made.holds(last, field)))
    notes.add(
      "the model's chat template leaves out what a message reasons, so it is not learned; write it into the content, or give a template that prints it",
    )
  if (tools && tools.length > 0 && !made.holds(-1, 'tools')) notes.add("the model's chat template does not print the tools")
  return [...notes]
}

const lost = (where: string, what: string, remedy: Message) =>
  new SaqrError('DATA_TEMPLATE', say`${where}: the model's chat template leaves out ${what}. ${remedy}.`)

function callRemedy(i: number, at: number, calls: readonly unknown[]): [string, Message] {
  if (calls.length === 1 || at === 0)
    return [
      `the tool calls of message ${i + 1}`,
      say`Give one that prints tool calls (${option('chatTemplate')}), or put the calls into the message's content`,
    ]
  return [
    `tool call ${at + 1} of message ${i + 1}, which has ${calls.length}`,
    say`Give one that prints all calls of a message (${option('chatTemplate')}), or give each call a message of its own, followed by its result`,
  ]
}

function contentError(where: string, { role, content }: ChatMessage, i: number, loss: Loss): SaqrError {
  const is = Array.isArray(content) ? `a list of ${content.length} parts` : typeof content === 'object' ? 'an object' : 'a text'
  if (loss === 'form') return formError(where, `that of message ${i + 1} is ${is}, which it prints as Python writes it, or in part`)
  const what = loss === 'all' ? `message ${i + 1}, whose role is ${JSON.stringify(role)}` : `part ${loss + 1} of message ${i + 1}`
  return lost(
    where,
    what,
    is === 'a text'
      ? say`Give one that knows the role (${option('chatTemplate')}), rename the role, or remove the message`
      : say`Write its content, ${is}, as one text, or give a template that takes it (${option('chatTemplate')})`,
  )
}

/** The template takes another form of content. */
export const formError = (where: string, why: string) =>
  new SaqrError(
    'DATA_TEMPLATE',
    say`${where}: the model's chat template takes a message's content as one text, and ${why}. Write it as one text, or give a template that takes it (${option('chatTemplate')}).`,
  )

const callsOf = ({ tool_calls: calls }: ChatMessage): readonly unknown[] => (Array.isArray(calls) ? calls : [])

const QUOTED_TWICE =
  'the arguments of tool calls are texts, which the model\'s chat template quotes once more ("{\\"…\\"}"), as in transformers: write them as objects'

function isQuotedTwice(call: unknown, text: string): boolean {
  const { arguments: given } = (isObject(call) && isObject(call.function) ? call.function : call) as { arguments?: unknown }
  return typeof given === 'string' && given.trimStart().startsWith('{') && text.includes(JSON.stringify(given))
}

const isReasoning = (part: unknown) => isObject(part) && (part.type === 'thinking' || part.type === 'reasoning')

/** more than white space */
const hasText = (content: unknown) => typeof content === 'string' && content.trim() !== ''

const hasContent = (content: unknown) => hasText(content) || isGiven(content)
