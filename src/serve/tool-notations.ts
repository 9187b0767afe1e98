/** How models write calls of tools, each by what its calls begin with. */
import { isObject, stringifyJson } from '../formats/json.ts'
import { parseExactly, withKeys } from '../formats/json-exact.ts'
import { writtenValue } from './written-value.ts'

export interface Call {
  name: string
  /** JSON */
  arguments: string
}

/** schemas of tools' parameters, by the tools' names */
export type Tools = ReadonlyMap<string, unknown>

export interface ToolFormat {
  /** what a call begins with, wherever it stands; null: a call is all of an answer, an object of JSON */
  mark: string | null
  /** Calls of a text that begins with one; null: they are none after all. */
  parse(text: string, tools: Tools): Call[] | null
}

/** <tool_call>{"name": …, "arguments": {…}}</tool_call>, one after the other: Hermes, Qwen 2.5, Qwen 3 */
export const hermes: ToolFormat = {
  mark: '<tool_call>',
  parse: (text) => {
    const parts = text.split('<tool_call>').slice(1)
    return allOf(parts.map((part) => callOf(jsonOf(part.replace(/<\/tool_call>\s*$/, '')), 'arguments')))
  },
}

/** <tool_call><function=NAME><parameter=KEY>value</parameter> …</function></tool_call>, one after the other: Qwen 3 Coder, Qwen 3.5 */
export const qwenXml: ToolFormat = {
  mark: '<tool_call>',
  parse: (text, tools) => {
    const parts = text.split('<tool_call>').slice(1)
    return allOf(
      parts.map((part) => {
        const [, name = '', inside] = /^\s*<function=([^>]+)>(.*?)<\/function>\s*(?:<\/tool_call>\s*)?$/s.exec(part) ?? []
        if (inside === undefined) return null
        const [before = '', ...written] = inside.split('<parameter=')
        // what stands outside of parameters would be lost
        if (before.trim() !== '') return null
        // a value goes on to the last end before the next: it may have one of its own
        const values = written.map((one) => /^([^>]+)>\n?(.*?)\n?<\/parameter>\s*$/s.exec(one))
        if (values.includes(null)) return null
        const given = values.map((one) => [one![1]!, writtenValue(one![2]!, tools.get(name), one![1]!)])
        return callOf({ name, arguments: withKeys({}, Object.fromEntries(given)) }, 'arguments')
      }),
    )
  },
}

/** [TOOL_CALLS] [{"name": …, "arguments": {…}}, …], and since 2025 [TOOL_CALLS]name[ARGS]{…}, one after the other: Mistral */
export const mistral: ToolFormat = {
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

const DEEPSEEK = '<｜tool▁call▁begin｜>'

/** <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME, a fence of JSON, and since V3.1 NAME<｜tool▁sep｜>{…}, between marks of all calls: DeepSeek V3, R1 */
export const deepseek: ToolFormat = {
  mark: '<｜tool▁calls▁begin｜>',
  parse(text) {
    const [begin = '', ...parts] = text.replace(/<｜tool▁calls▁end｜>\s*$/, '').split(DEEPSEEK)
    if (begin.trim() !== this.mark) return null
    return allOf(
      parts.map((part) => {
        const [before, after = '', ...more] = part.replace(/<｜tool▁call▁end｜>\s*$/, '').split('<｜tool▁sep｜>')
        if (more.length > 0) return null
        const [, fenced, inFence] = /^([^\n]+)\n```json\n(.*?)\n?```\s*$/s.exec(after) ?? []
        const [name, given] = fenced === undefined ? [before!.trim(), after] : [fenced.trim(), inFence!]
        return callOf({ name, arguments: jsonOf(given) }, 'arguments')
      }),
    )
  },
}

/** {"name": …, "parameters": {…}} as the whole answer: Llama 3.1 and later */
export const llama: ToolFormat = {
  mark: null,
  parse(text) {
    const call = callOf(jsonOf(text.replace(PYTHON_TAG, '')), 'parameters')
    return call && [call]
  },
}

const PYTHON_TAG = /^\s*<\|python_tag\|>/

const allOf = (calls: readonly (Call | null)[]): Call[] | null =>
  calls.length > 0 && calls.every((call) => call !== null) ? [...calls] : null

/** undefined: it is no JSON */
export function jsonOf(text: string): unknown {
  try {
    return parseExactly(text)
  } catch {
    return undefined
  }
}

/** @param key of the arguments */
export function callOf(value: unknown, key: 'arguments' | 'parameters'): Call | null {
  if (!isObject(value) || typeof value.name !== 'string' || value.name === '') return null
  // behind a mark a name alone is a call of a tool that takes nothing; without one it may be JSON that was asked for
  const given = key === 'arguments' && !(key in value) ? {} : value[key]
  if (typeof given === 'string' && isObject(jsonOf(given))) return { name: value.name, arguments: given }
  return isObject(given) ? { name: value.name, arguments: stringifyJson(given) } : null
}
