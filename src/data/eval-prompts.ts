/** Prompts that are answered at each evaluation: a text a line, or rows of .json or .jsonl that hold one or messages. */
import { option, SaqrError, say } from '../error.ts'
import { isObject, parseJson, readText, show } from '../hub/json.ts'
import type { Message } from '../text/chat-template.ts'

export type EvalPrompt = string | readonly Message[]

/** columns that a row's prompt may stand in */
const COLUMNS = ['messages', 'prompt', 'text'] as const

/** @throws SaqrError OPTION_INVALID for a file that isn't there, has no prompt or a row without one */
export function readEvalPrompts(path: string): EvalPrompt[] {
  const wrong = (why: string) => new SaqrError('OPTION_INVALID', say`${option('evalPrompts')} ${path}: ${why}`)
  let file: string
  try {
    file = readText(path)
  } catch (cause) {
    throw new SaqrError('OPTION_INVALID', say`${option('evalPrompts')}: ${(cause as Error).message}`, { cause })
  }
  const lines = file.split(/\r?\n/).map((text, i) => ({ text, at: `line ${i + 1}` }))
  const filled = lines.filter(({ text }) => text.trim() !== '')
  let found: EvalPrompt[]
  if (/\.jsonl$/i.test(path)) found = filled.map(({ text, at }) => promptOf(parseJson(text, `${path}, ${at}`), at, wrong))
  else if (/\.json$/i.test(path)) {
    const rows = parseJson(file, path)
    if (!Array.isArray(rows)) throw wrong('a .json file of prompts is a list of rows')
    found = rows.map((row, i) => promptOf(row, `row ${i + 1}`, wrong))
  } else found = filled.map(({ text }) => text)
  if (found.length === 0) throw wrong('there is no prompt in it')
  return found
}

function promptOf(row: unknown, at: string, wrong: (why: string) => SaqrError): EvalPrompt {
  if (typeof row === 'string' && row !== '') return row
  const column = isObject(row) ? COLUMNS.find((name) => row[name] != null) : undefined
  const value = column === undefined ? row : (row as Record<string, unknown>)[column]
  if (column !== undefined && typeof value === 'string' && value !== '') return value
  if (Array.isArray(value) && value.length > 0 && value.every((one) => isObject(one) && typeof one.role === 'string')) {
    // what the assistant says at the end is the answer that is asked for
    const messages = value as Message[]
    const asked = messages.at(-1)!.role === 'assistant' ? messages.slice(0, -1) : messages
    if (asked.length > 0) return asked
  }
  throw wrong(
    `${at} is ${show(row)}: expected a text, or a row whose ${COLUMNS.join(', or ')} is a text or a list of messages with one before the assistant’s answer`,
  )
}

/** as a person reads it: of messages the last one */
export function shownPrompt(prompt: EvalPrompt): string {
  if (typeof prompt === 'string') return prompt
  const { content } = prompt.at(-1)!
  return typeof content === 'string' ? content : JSON.stringify(content)
}
