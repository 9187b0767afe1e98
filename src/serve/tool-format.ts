/** How models write calls of tools. Which way a model has is told by its chat template: it writes earlier calls as the model learned to. */
import { randomInt } from 'node:crypto'
import { SaqrError } from '../error.ts'
import { isObject, stringifyJson } from '../formats/json.ts'
import { parseExactly } from '../formats/json-exact.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

export interface Call {
  name: string
  /** JSON */
  arguments: string
}

export interface ToolFormat {
  /** what a call begins with, wherever it stands; null: a call is all of an answer, an object of JSON */
  mark: string | null
  /** Calls of a text that begins with one; null: they are none after all. */
  parse(text: string): Call[] | null
}

/** <tool_call>{"name": …, "arguments": {…}}</tool_call>, one after the other: Hermes, Qwen 2.5, Qwen 3 */
const hermes: ToolFormat = {
  mark: '<tool_call>',
  parse: (text) => {
    const parts = text.split('<tool_call>').slice(1)
    return allOf(parts.map((part) => callOf(jsonOf(part.replace(/<\/tool_call>\s*$/, '')), 'arguments')))
  },
}

/** [TOOL_CALLS] [{"name": …, "arguments": {…}}, …], and since 2025 [TOOL_CALLS]name[ARGS]{…}, one after the other: Mistral */
const mistral: ToolFormat = {
  mark: '[TOOL_CALLS]',
  parse(text) {
    const parts = text.split('[TOOL_CALLS]').slice(1)
    const named = parts.map((part) => {
      const [, name = '', given = ''] = /^\s*([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\](.*)$/s.exec(part) ?? []
      return callOf({ name, arguments: jsonOf(given) }, 'arguments')
    })
    const list = parts.length === 1 ? jsonOf(parts[0]!) : undefined
    return allOf(named) ?? (Array.isArray(list) ? allOf(list.map((one) => callOf(one, 'arguments'))) : null)
  },
}

/** {"name": …, "parameters": {…}} as the whole answer: Llama 3.1 and later */
const llama: ToolFormat = {
  mark: null,
  parse(text) {
    const call = callOf(jsonOf(text.replace(PYTHON_TAG, '')), 'parameters')
    return call && [call]
  },
}

const PYTHON_TAG = /^\s*<\|python_tag\|>/

const allOf = (calls: readonly (Call | null)[]): Call[] | null =>
  calls.length > 0 && calls.every((call) => call !== null) ? [...calls] : null

function jsonOf(text: string): unknown {
  try {
    return parseExactly(text)
  } catch {
    return undefined
  }
}

function callOf(value: unknown, key: 'arguments' | 'parameters'): Call | null {
  if (!isObject(value) || typeof value.name !== 'string' || value.name === '') return null
  // behind a mark a name alone is a call of a tool that takes nothing; without one it may be JSON that was asked for
  const given = key === 'arguments' && !(key in value) ? {} : value[key]
  if (typeof given === 'string' && isObject(jsonOf(given))) return { name: value.name, arguments: given }
  return isObject(given) ? { name: value.name, arguments: stringifyJson(given) } : null
}

/** nine letters and digits: what Mistral's template wants, and everybody takes */
export const newCallId = (): string =>
  Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'[randomInt(62)]).join('')

const PROBE = 'saqr_probe'

/** Null: the template shows no calls, or writes them in a way that is not known here. */
export function toolFormatOf(tokenizer: Tokenizer): ToolFormat | null {
  const text = rendered(tokenizer)
  if (text === null) return null
  const at = text.lastIndexOf(PROBE)
  const [before, after] = [text.slice(0, at), text.slice(at + PROBE.length)]
  if (/<tool_call>\s*\{[^<]*$/.test(before) && after.includes('"arguments"')) return hermes
  if (/\[TOOL_CALLS\]\s*(\[\s*\{[^[]*)?$/.test(before)) return mistral
  if (/(^|[>\s])\{\s*"name":\s*"$/.test(before) && /^",\s*"parameters":/.test(after)) return llama
  return null
}

/** A conversation with a call, the last thing in it. */
function rendered(tokenizer: Tokenizer): string | null {
  if (tokenizer.chatTemplate === null) return null
  const called = { id: 'saqrprobe', type: 'function', function: { name: PROBE, arguments: { a: 1 } } }
  const parameters = { type: 'object', properties: { a: { type: 'integer', description: 'a' } }, required: ['a'] }
  try {
    return tokenizer.applyChatTemplate(
      [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: '', tool_calls: [called] },
      ],
      { tokenize: false, tools: [{ type: 'function', function: { name: PROBE, description: 'a', parameters } }] },
    )
  } catch (error) {
    if (error instanceof SaqrError) return null
    throw error
  }
}
