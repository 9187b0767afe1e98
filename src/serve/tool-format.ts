/** Which way a model writes calls of tools is told by its chat template: it writes earlier calls as the model learned to. */
import { randomInt } from 'node:crypto'
import { SaqrError } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { ChannelText } from './channel-text.ts'
import { deepseek, hermes, llama, mistral, qwenXml, type ToolFormat, type Tools } from './tool-notations.ts'
import { type ReadText, ToolText } from './tool-text.ts'

/** nine letters and digits: what Mistral's template wants, and everybody takes */
export const newCallId = (): string =>
  Array.from({ length: 9 }, () => 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'[randomInt(62)]).join('')

const PROBE = 'saqr_probe'
const GIVEN = 'saqr_given'

/** How a model's answers are read, and what its template takes of earlier calls. */
export interface AnswerForm {
  /** null: every answer is text as it stands */
  reader(tools: Tools): ReadText | null
  /** does the template take a call's arguments as OpenAI writes them, a text of JSON, and not as an object? */
  argumentsAsText: boolean
}

export function answerForm(tokenizer: Tokenizer): AnswerForm {
  const asObject = rendered(tokenizer, { a: GIVEN })
  const asText = asObject === null || isPrinted(asObject) ? rendered(tokenizer, `{"a": "${GIVEN}"}`) : null
  const argumentsAsText = asText !== null && (asObject === null || asText.includes(`"${GIVEN}"`))
  const text = argumentsAsText ? asText : asObject
  if (text !== null && isOfChannels(text)) return { argumentsAsText, reader: (tools) => new ChannelText(tools) }
  const format = text === null ? null : formatOf(text)
  return { argumentsAsText, reader: (tools) => (format && tools.size > 0 ? new ToolText(format, tools) : null) }
}

/** The template prints what it is given: an object comes out as Python's str writes it, which is no JSON. */
const isPrinted = (text: string) => text.includes(`{'a': '${GIVEN}'}`)

/** before and behind the name of a call, the last that a template wrote */
function around(text: string): [before: string, after: string] {
  const at = text.lastIndexOf(PROBE)
  return [text.slice(0, at), text.slice(at + PROBE.length)]
}

/** gpt-oss's: a message has a channel, and a call of a tool is a message to it */
function isOfChannels(text: string): boolean {
  const [before, after] = around(text)
  return /<\|start\|>assistant to=functions\.$/.test(before) && /^<\|channel\|>commentary\b/.test(after)
}

/** Null: the template shows no calls, or writes them in a way that is not known here. */
function formatOf(text: string): ToolFormat | null {
  const [before, after] = around(text)
  if (/<tool_call>\s*\{[^<]*$/.test(before) && after.includes('"arguments"')) return hermes
  if (/<tool_call>\s*<function=$/.test(before) && /^>\s*<parameter=a>/.test(after)) return qwenXml
  if (/\[TOOL_CALLS\]\s*(\[\s*\{[^[]*)?$/.test(before)) return mistral
  if (/<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>(function<｜tool▁sep｜>)?$/.test(before)) return deepseek
  if (/(^|[>\s])\{\s*"name":\s*"$/.test(before) && /^",\s*"parameters":/.test(after)) return llama
  return null
}

/** A conversation with a call, the last thing in it. Null: the template refuses it, or leaves the call out. */
function rendered(tokenizer: Tokenizer, given: object | string): string | null {
  if (tokenizer.chatTemplate === null) return null
  const called = { id: 'saqrprobe', type: 'function', function: { name: PROBE, arguments: given } }
  const parameters = { type: 'object', properties: { a: { type: 'string', description: 'a' } }, required: ['a'] }
  try {
    const text = tokenizer.applyChatTemplate(
      [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: '', tool_calls: [called] },
      ],
      { tokenize: false, tools: [{ type: 'function', function: { name: PROBE, description: 'a', parameters } }] },
    )
    return text.includes(GIVEN) ? text : null
  } catch (error) {
    if (error instanceof SaqrError) return null
    throw error
  }
}
