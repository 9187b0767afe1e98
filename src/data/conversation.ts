/**
 * Messages out of a row. ShareGPT's `from`/`value` become `role`/`content`, as in TRL; names of roles become those that chat templates
 * know (TRL leaves them, and most templates then drop the message). A function call becomes an assistant's `tool_calls`. A key that is
 * null is no key: Parquet gives every message the keys of all. A message that says nothing where templates read it is refused.
 */
import { isObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import type { Message } from '../text/chat-template.ts'
import { callsOf, functionCalls } from './calls.ts'
import { bad, isMissing, shown, unpacked } from './cells.ts'
import { contentOf } from './content.ts'
import { roleOf } from './roles.ts'
import type { Row } from './rows.ts'

/** Of a list of messages, or a text of JSON that holds it, as cells of CSV and Parquet keep one. @throws SaqrError DATA_ROW */
export function messagesOf(given: unknown, column: string, where: string): Message[] {
  const value = typeof given === 'string' && /^\s*\[/.test(given) ? unpacked(given, `${where}: ${column}`) : given
  if (!Array.isArray(value) || value.length === 0) throw bad(where, `${column} must be a list of messages, it is ${shown(value)}`)
  return value.map((message, i) => {
    const at = `${column}[${i}]`
    if (!isObject(message)) throw bad(where, `${at} must be an object with role and content, it is ${shown(message)}`)
    return messageOf(renamed(message, at, where), at, where)
  })
}

/** With `role` and `content` in the place of ShareGPT's names. */
function renamed(message: Record<string, unknown>, at: string, where: string): Record<string, unknown> {
  const { from, value, role, content } = message
  if (from === undefined && value === undefined) return message
  if (!isMissing(from) && !isMissing(role) && roleOf(String(from)) !== roleOf(String(role)))
    throw bad(where, `${at} has two roles, from ${shown(from)} and role ${shown(role)}`)
  if (!isMissing(value) && !isMissing(content) && value !== content && content !== '')
    throw bad(where, `${at} has two contents, value ${shown(value)} and content ${shown(content)}`)
  const said = isMissing(value) ? (content ?? value) : value
  return withKeys(message, { from: undefined, value: undefined, role: isMissing(from) ? role : from, content: said })
}

function messageOf(given: Record<string, unknown>, at: string, where: string): Message {
  if (typeof given.role !== 'string') throw bad(where, `${at} has no role${keysOf(given)}`)
  const role = roleOf(given.role)
  if (role === 'function_call') {
    const calls = functionCalls(given.content, at, where)
    return withKeys(given, { role: 'assistant', content: '', tool_calls: calls }) as Message
  }
  const calls = callsOf(given, at, where)
  const content = contentOf(given, role, calls !== null, at, where)
  const changes: Record<string, unknown> = {}
  if (role !== given.role) changes.role = role
  if (content !== given.content) changes.content = content
  if (calls !== null && calls !== given.tool_calls) changes.tool_calls = calls
  if (!isMissing(given.function_call)) changes.function_call = undefined
  // the very message where nothing changes
  return (Object.keys(changes).length > 0 ? withKeys(given, changes) : given) as Message
}

/** What who speaks may stand under. */
function keysOf({ content: _, role, ...others }: Record<string, unknown>): string {
  if (role !== undefined) return `: it is ${shown(role)}`
  const keys = Object.keys(others).filter((key) => typeof others[key] === 'string')
  return keys.length === 0
    ? ''
    : `; it has ${keys.join(', ')}: rename the key that says who speaks to role, the one of what is said to content`
}

export interface ChatRow {
  tools: readonly unknown[] | null
  variables: Record<string, unknown>
}

/** The columns beside the messages: `tools`, JSON schemas or a text that holds them, and `chat_template_kwargs`, an object or its text. */
export function chatColumns(row: Row, where: string): ChatRow {
  const tools = unpacked(row.tools, `${where}: tools`)
  if (tools !== null && !Array.isArray(tools)) throw bad(where, `tools must be a list of functions, it is ${shown(tools)}`)
  const wrong = tools?.findIndex((tool) => !isObject(tool)) ?? -1
  if (wrong !== -1)
    throw bad(
      where,
      `tools[${wrong}] must be the JSON schema of a function, it is ${shown(tools![wrong])}; write the list as objects, or as one text that holds it`,
    )
  const variables = unpacked(row.chat_template_kwargs, `${where}: chat_template_kwargs`) ?? {}
  if (!isObject(variables))
    throw bad(where, `chat_template_kwargs must be an object of the template's variables, it is ${shown(variables)}`)
  return { tools, variables }
}
