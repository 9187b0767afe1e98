/** What rows say before there is a tokenizer: their texts, read as strictly as for training. */
import { alpacaPrompt } from './alpaca.ts'
import { textOf, textOrNone } from './cells.ts'
import { textOfPart } from './content.ts'
import { chatColumns, messagesOf } from './conversation.ts'
import type { Row } from './rows.ts'
import type { Shape } from './shape.ts'

export interface Part {
  text: string
  /** who says it */
  role?: string
  /** what is asked; else what answers, or a whole text */
  prompt: boolean
}

export type Read = (row: Row, where: string, textField: string) => Part[]

/** messages out of a column, a part each */
export const said = (value: unknown, column: string, where: string, prompt: boolean): Part[] =>
  messagesOf(value, column, where).map(({ role, content, tool_calls: calls }) => {
    const texts = Array.isArray(content) ? content.map((part) => textOfPart(part) ?? JSON.stringify(part)) : [textual(content)]
    if (calls !== undefined && calls !== null) texts.push(JSON.stringify(calls))
    return { role, text: texts.filter((text) => text !== '').join('\n'), prompt: prompt || role !== 'assistant' }
  })

const textual = (content: unknown) => (typeof content === 'string' ? content : content == null ? '' : JSON.stringify(content))

const chat = (row: Row, where: string, column: string): Part[] => {
  chatColumns(row, where) // read for what is wrong with them
  return said(row[column], column, where, false)
}

/** null: rows of token ids, of which nothing can be read. @throws SaqrError DATA_ROW */
export const rowTexts: Record<Shape, Read | null> = {
  text: (row, where, textField) => [{ text: textOf(row, textField, where), prompt: false }],
  alpaca: (row, where) => [
    { text: alpacaPrompt(textOf(row, 'instruction', where), textOrNone(row, 'input', where)), prompt: true },
    { text: textOf(row, 'output', where), prompt: false },
  ],
  'prompt-completion'(row, where) {
    if (Array.isArray(row.prompt)) {
      chatColumns(row, where)
      return [...said(row.prompt, 'prompt', where, true), ...said(row.completion, 'completion', where, false)]
    }
    return [
      { text: textOf(row, 'prompt', where), prompt: true },
      { text: textOf(row, 'completion', where), prompt: false },
    ]
  },
  messages: (row, where) => chat(row, where, 'messages'),
  conversations(row, where) {
    const system = textOrNone(row, 'system', where)
    const parts = chat(row, where, 'conversations')
    return system === '' ? parts : [{ role: 'system', text: system, prompt: true }, ...parts]
  },
  tokens: null,
}
