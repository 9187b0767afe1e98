/**
 * Messages out of a row. ShareGPT's `from`/`value` become `role`/`content`, as in TRL; its usual names of roles become those that chat
 * templates know (TRL leaves them, and most templates then drop the message). A function call becomes an assistant's `tool_calls`.
 */
import { SaqrError } from '../error.ts'
import { isObject, parseJson } from '../formats/json.ts'
import type { Message } from '../text/chat-template.ts'
import type { Row } from './files.ts'

const roles: Record<string, string> = {
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  observation: 'tool',
  function_response: 'tool',
}

/** @throws SaqrError DATA_ROW */
export function messagesOf(value: unknown, column: string, where: string): Message[] {
  if (!Array.isArray(value) || value.length === 0) throw bad(where, `${column} must be a list of messages, it is ${shown(value)}`)
  return value.map((message, i) => {
    const at = `${column}[${i}]`
    if (!isObject(message)) throw bad(where, `${at} must be an object with role and content, it is ${shown(message)}`)
    const { from, value: text, ...rest } = message
    const given = from === undefined ? rest : { role: from, ...rest }
    if (typeof given.role !== 'string') throw bad(where, `${at} has no role`)
    const content = text === undefined ? {} : { content: text }
    if (given.role === 'function_call') return functionCall(text, at, where)
    return { ...given, ...content, role: from === undefined ? given.role : (roles[given.role] ?? given.role) }
  })
}

function functionCall(text: unknown, at: string, where: string): Message {
  const call = typeof text === 'string' ? parseJson(text, `${where}: ${at}`, { line: true }) : text
  const calls = Array.isArray(call) ? call : [call]
  return { role: 'assistant', content: '', tool_calls: calls.map((f) => ({ type: 'function', function: f })) }
}

export interface ChatRow {
  tools: readonly unknown[] | null
  variables: Record<string, unknown>
}

/** The columns beside the messages: `tools`, JSON schemas or a text that holds them, and `chat_template_kwargs`. */
export function chatColumns(row: Row, where: string): ChatRow {
  const tools =
    typeof row.tools === 'string' && row.tools !== '' ? parseJson(row.tools, `${where}: tools`, { line: true }) : row.tools || null
  if (tools !== null && !Array.isArray(tools)) throw bad(where, `tools must be a list of functions, it is ${shown(tools)}`)
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
