/**
 * Messages out of a row. ShareGPT's `from`/`value` become `role`/`content`, as in TRL; names of roles become those that chat templates
 * know (TRL leaves them, and most templates then drop the message). A function call becomes an assistant's `tool_calls`.
 */
import { SaqrError } from '../error.ts'
import { isObject, parseJson } from '../formats/json.ts'
import type { Message } from '../text/chat-template.ts'
import { roleOf } from './roles.ts'
import type { Row } from './rows.ts'

/** @throws SaqrError DATA_ROW */
export function messagesOf(value: unknown, column: string, where: string): Message[] {
  if (!Array.isArray(value) || value.length === 0) throw bad(where, `${column} must be a list of messages, it is ${shown(value)}`)
  return value.map((message, i) => {
    const at = `${column}[${i}]`
    if (!isObject(message)) throw bad(where, `${at} must be an object with role and content, it is ${shown(message)}`)
    const { from, value: text, ...rest } = message
    // the very message where nothing is renamed: what is remembered of its numbers stays with it
    const renamed =
      from === undefined && text === undefined
        ? message
        : { ...rest, ...(text !== undefined && { content: text }), role: from ?? rest.role }
    if (typeof renamed.role !== 'string') throw bad(where, `${at} has no role`)
    const role = roleOf(renamed.role)
    if (role === 'function_call') return functionCall(renamed.content, at, where)
    return (role === renamed.role ? renamed : { ...renamed, role }) as Message
  })
}

/** a call, or a list of calls, as JSON */
function functionCall(text: unknown, at: string, where: string): Message {
  const call = typeof text === 'string' ? parseJson(text, `${where}: ${at}`, { line: true, exact: true }) : text
  const calls = Array.isArray(call) ? call : [call]
  const wrong = calls.find((one) => !isObject(one) || typeof one.name !== 'string')
  if (wrong !== undefined || calls.length === 0)
    throw bad(where, `${at} must be a function call like {"name": …, "arguments": {…}}, it is ${shown(wrong)}`)
  return { role: 'assistant', content: '', tool_calls: calls.map((f) => ({ type: 'function', function: f })) }
}

export interface ChatRow {
  tools: readonly unknown[] | null
  variables: Record<string, unknown>
}

const parsed = (value: unknown, where: string) =>
  typeof value === 'string' && value !== '' ? parseJson(value, where, { line: true, exact: true }) : value

/** The columns beside the messages: `tools`, JSON schemas or a text that holds them, and `chat_template_kwargs`. */
export function chatColumns(row: Row, where: string): ChatRow {
  const tools = parsed(row.tools, `${where}: tools`) || null
  if (tools !== null && !Array.isArray(tools)) throw bad(where, `tools must be a list of functions, it is ${shown(tools)}`)
  const wrong = tools?.findIndex((tool) => !isObject(tool)) ?? -1
  if (wrong !== -1)
    throw bad(
      where,
      `tools[${wrong}] must be the JSON schema of a function, it is ${shown(tools![wrong])}; write the list as objects, or as one text that holds it`,
    )
  return { tools, variables: (row.chat_template_kwargs ?? {}) as Record<string, unknown> }
}

/** @throws SaqrError DATA_ROW */
export function textOf(row: Row, column: string, where: string): string {
  const value = row[column]
  if (typeof value !== 'string') throw bad(where, `${column} must be a text, it is ${shown(value)}`)
  return value
}

export const bad = (where: string, why: string) => new SaqrError('DATA_ROW', `${where}: ${why}. Correct or remove the row.`)

const shown = (value: unknown) => (value === undefined ? 'missing' : JSON.stringify(value).slice(0, 60))
