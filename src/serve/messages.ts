/** OpenAI's messages as a chat template takes them, and the tokens that they become. */
import { promptIds } from '../data/prompt-form.ts'
import { SaqrError } from '../error.ts'
import { isObject, type JsonObject, stringifyJson } from '../formats/json.ts'
import { parseExactly, withKeys } from '../formats/json-exact.ts'
import { shown } from '../hub/arguments.ts'
import type { Message } from '../text/chat-template.ts'
import type { Chat } from '../text/tokenizer.ts'
import { type ApiError, badParameter } from './api-error.ts'
import type { ServedModel } from './models.ts'
import { callsIn, withSingleCalls } from './single-calls.ts'
import type { Tools } from './tool-notations.ts'

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool']
/** keys of OpenAI's messages; further ones are the template's to know */
const REFUSED: Readonly<Record<string, string>> = {
  function_call: 'the older name of tool_calls: give tool_calls',
  audio: 'the model reads text alone',
}

/** @throws ApiError 400 naming what is wrong by its place, messages[2].content */
export function messagesOf(given: readonly unknown[], { tokenizer, form }: ServedModel): Message[] {
  return given.map((message, i) => {
    const at = `messages[${i}]`
    if (!isObject(message)) throw badParameter(at, `${at} must be an object with role and content, not ${shown(message)}`)
    const { role } = message
    if (typeof role !== 'string' || !ROLES.includes(role))
      throw badParameter(`${at}.role`, `${at}.role must be ${ROLES.slice(0, -1).join(', ')} or ${ROLES.at(-1)}, not ${shown(role)}`)
    for (const [key, why] of Object.entries(REFUSED))
      if (message[key] !== undefined && message[key] !== null)
        throw badParameter(`${at}.${key}`, `${at}.${key} is refused: ${why}`, 'unsupported_parameter')
    const calls = isNone(message.tool_calls) ? undefined : callsOf(message.tool_calls, at, form.argumentsAsText)
    const content = textOf(message.content, `${at}.content`, role === 'assistant' && calls !== undefined)
    // templates know the older name
    const known = role === 'developer' && !hasRole(tokenizer, role) ? 'system' : role
    return withKeys(message, { role: known, content, ...('tool_calls' in message ? { tool_calls: calls ?? null } : {}) }) as Message
  })
}

function hasRole(tokenizer: ServedModel['tokenizer'], role: string): boolean {
  return tokenizer.chatTemplate !== null && tokenizer.namesRole(role)
}

/** Clients write `null` or an empty list of what there is none of: what a server sent them, or their own way. */
const isNone = (given: unknown) => given === undefined || given === null || (Array.isArray(given) && given.length === 0)

/** a text, or parts of text, which are one */
function textOf(content: unknown, at: string, optional: boolean): string {
  if (typeof content === 'string') return content
  if (optional && isNone(content)) return ''
  if (!Array.isArray(content) || content.length === 0)
    throw badParameter(at, `${at} must be a text or a list of parts, not ${shown(content)}`)
  return content
    .map((part: unknown, i) => {
      if (isObject(part) && part.type === 'text' && typeof part.text === 'string') return part.text
      const type = isObject(part) && typeof part.type === 'string' ? part.type : shown(part)
      throw badParameter(`${at}[${i}]`, `${at}[${i}] must be a part of type text with its text; ${type.slice(0, 60)} is not read here`)
    })
    .join('')
}

/** The arguments, which OpenAI writes as a text of JSON, as templates want them: nearly all as an object. */
function callsOf(given: unknown, at: string, asText: boolean): JsonObject[] {
  if (!Array.isArray(given)) throw badParameter(`${at}.tool_calls`, `${at}.tool_calls must be a list of calls`)
  return given.map((call: unknown, i) => {
    const place = `${at}.tool_calls[${i}]`
    const called = isObject(call) ? call.function : undefined
    if (!isObject(call) || !isObject(called) || typeof called.name !== 'string')
      throw badParameter(place, `${place} must be { id, type: "function", function: { name, arguments } }`)
    const value = argumentsOf(called.arguments, `${place}.function.arguments`)
    return withKeys(call, { function: withKeys(called, { arguments: asText ? stringifyJson(value) : value }) })
  })
}

function argumentsOf(given: unknown, at: string): JsonObject {
  let value: unknown = given
  try {
    if (typeof given === 'string') value = given.trim() === '' ? {} : parseExactly(given)
  } catch {
    value = undefined
  }
  if (!isObject(value)) throw badParameter(at, `${at} must be a text of a JSON object, not ${shown(given)}`)
  return value
}

/** @throws ApiError 400 */
export function toolsOf(given: readonly unknown[]): { tools: JsonObject[]; schemas: Tools } {
  const tools = given.map((tool, i) => {
    const at = `tools[${i}]`
    if (!isObject(tool) || tool.type !== 'function' || !isObject(tool.function) || typeof tool.function.name !== 'string')
      throw badParameter(at, `${at} must be { type: "function", function: { name, description, parameters } }`)
    if (tool.function.strict === true)
      throw badParameter(
        `${at}.function.strict`,
        `${at}.function.strict is refused: the model writes arguments freely`,
        'unsupported_parameter',
      )
    return tool
  })
  return { tools, schemas: new Map(tools.map(({ function: one }) => [(one as JsonObject).name as string, (one as JsonObject).parameters])) }
}

/**
 * Token ids of a conversation. One user's message alone is asked in the form that the model was trained on, as `saqr generate` asks;
 * everything else goes through the chat template, and what that would leave out is an error. Where it takes one call of a message
 * (gpt-oss, Llama 3.1) calls become messages of their own.
 * @throws ApiError 400, SaqrError TEXT_…
 */
export function promptOf(model: ServedModel, messages: readonly Message[], tools: readonly JsonObject[]): readonly number[] {
  const { tokenizer, language } = model
  const form = language.promptForm
  const [first] = messages
  if (form !== null && form.form !== 'chat' && messages.length === 1 && first!.role === 'user' && tools.length === 0)
    return promptIds(tokenizer, first!.content as string, { chat: null, system: null, tools: null }, form)
  const render = (given: readonly Message[]) =>
    tokenizer.applyChatTemplate(given, { addGenerationPrompt: true, tools: tools.length > 0 ? tools : null })
  const { ids, holds } = chatOf(messages, render)
  if (tools.length > 0 && !holds(-1, 'tools')) throw badParameter('tools', 'the chat template of this model does not show it tools')
  const lost = messages.findIndex(
    ({ role, content }, i) => role !== 'assistant' && (content as string).trim() !== '' && !holds(i, 'content'),
  )
  if (lost !== -1)
    throw badParameter(
      `messages[${lost}]`,
      `the chat template of this model leaves messages[${lost}] out: it knows no messages of ${messages[lost]!.role} there`,
    )
  return ids
}

/** Where the template refuses more than one call of a message, or leaves the others out, each stands in a message of its own. */
function chatOf(messages: readonly Message[], render: (given: readonly Message[]) => Chat): Chat {
  const several = messages.some((one) => callsIn(one).length > 1)
  const whole = several ? renderedOrError(() => render(messages)) : render(messages)
  const uncalled = whole instanceof SaqrError ? null : lostCall(messages, whole.holds)
  if (!(whole instanceof SaqrError) && uncalled === null) return whole
  const single = several ? withSingleCalls(messages) : null
  const again = single && renderedOrError(() => render(single.messages))
  if (again === null || again instanceof SaqrError || lostCall(single!.messages, again.holds) !== null)
    throw uncalled === null ? whole : leftOut(uncalled)
  // places are those of the conversation as it was asked
  const holds: Chat['holds'] = (message, field) =>
    message < 0
      ? again.holds(message, field)
      : single!.from.every((from, i) => from.message !== message || from.call > 0 || again.holds(i, field))
  return { ...again, holds }
}

/** the first call that the text holds nothing of */
function lostCall(messages: readonly Message[], holds: Chat['holds']): { message: number; call: number } | null {
  for (const [message, one] of messages.entries()) {
    const call = callsIn(one).findIndex((_, k) => !holds(message, 'tool_calls', k))
    if (call !== -1) return { message, call }
  }
  return null
}

function leftOut({ message, call }: { message: number; call: number }): ApiError {
  const at = `messages[${message}].tool_calls${call > 0 ? `[${call}]` : ''}`
  const why = call > 0 ? 'it shows one call of a message; give each in a message of its own, with its result' : 'it shows no earlier calls'
  return badParameter(at, `the chat template of this model leaves ${at} out: ${why} there`)
}

/** An error: the template refuses what it was given. */
function renderedOrError(render: () => Chat): Chat | SaqrError {
  try {
    return render()
  } catch (error) {
    if (error instanceof SaqrError) return error
    throw error
  }
}
