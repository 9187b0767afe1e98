/** Rows with an answer, as prompt and completion, and the few that are kept for the examination. */
import { alpacaPrompt } from '../../data/alpaca.ts'
import { messagesOf } from '../../data/conversation.ts'
import { Dataset } from '../../data/dataset.ts'
import type { Row } from '../../data/files.ts'
import { type Shape, shapeNames } from '../../data/shape.ts'
import { SaqrError } from '../../error.ts'
import type { Message } from '../../text/chat-template.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'

/** A prompt is a text, or messages for the chat template. */
export interface Question {
  prompt: string | Message[]
  answer: string
}

type ToQuestion = (row: Row, where: string) => Question

/** A shape that is not here has no answers to examine. */
const QUESTIONS: Partial<Record<Shape, ToQuestion>> = {
  'prompt-completion': ({ prompt, completion }, where) =>
    Array.isArray(prompt)
      ? { prompt: messagesOf(prompt, 'prompt', where), answer: String(messagesOf(completion, 'completion', where).at(-1)!.content) }
      : { prompt: String(prompt), answer: String(completion) },
  alpaca: ({ instruction, input, output }) => ({ prompt: alpacaPrompt(String(instruction), String(input ?? '')), answer: String(output) }),
  messages: ({ messages }, where) => lastTurn(messagesOf(messages, 'messages', where), where),
  conversations: ({ conversations }, where) => lastTurn(messagesOf(conversations, 'conversations', where), where),
}

function lastTurn(messages: Message[], where: string): Question {
  const last = messages.at(-1)!
  if (last.role !== 'assistant')
    throw new SaqrError('DATA_ROW', `${where}: the last message must be the assistant’s, to be compared with. Correct or remove the row.`)
  return { prompt: messages.slice(0, -1), answer: String(last.content) }
}

/** @throws SaqrError DATA_COLUMNS for rows without an answer */
export function questionsOf(dataset: Dataset): Question[] {
  const { shape } = dataset.recognise()
  const question = QUESTIONS[shape]
  if (!question)
    throw new SaqrError(
      'DATA_COLUMNS',
      `${dataset.source} has rows of ${shapeNames[shape]}, which have no answer to examine. Give prompt and completion, Alpaca rows or conversations, or train with saqr sft.`,
    )
  return dataset.rows.map((row, i) => question(row, dataset.where(i)))
}

/** The last `count` rows whose answers no other row gives are kept back; all others are trained on. */
export function keepBack(questions: readonly Question[], count: number): { train: Question[]; test: Question[] } {
  const given = new Map<string, number>()
  for (const { answer } of questions) given.set(answer, (given.get(answer) ?? 0) + 1)
  const alone = questions.filter(({ answer }) => given.get(answer) === 1)
  const test = alone.slice(Math.max(0, alone.length - Math.min(count, Math.floor(questions.length / 5))))
  if (test.length === 0)
    throw new SaqrError(
      'DATA_TOO_FEW_ROWS',
      `${questions.length} rows are too few to keep some back that have an answer of their own; give more rows`,
    )
  const kept = new Set(test)
  return { train: questions.filter((q) => !kept.has(q)), test }
}

/** Rows to train on. */
export function toDataset(questions: readonly Question[], source: string): Dataset {
  const rows = questions.map(({ prompt, answer }): Row => {
    if (typeof prompt === 'string') return { prompt, completion: answer }
    return { prompt, completion: [{ role: 'assistant', content: answer }] }
  })
  return new Dataset(rows, source)
}

export function promptIds({ prompt }: Question, tokenizer: Tokenizer): number[] {
  return typeof prompt === 'string' ? tokenizer.encode(prompt) : tokenizer.applyChatTemplate(prompt, { addGenerationPrompt: true }).ids
}

/** The end of a prompt, on one line. */
export function shown(question: Question): string {
  return oneLine(asked(question))
}

/** What is asked, without the white space around it. */
export function asked({ prompt }: Question): string {
  return (typeof prompt === 'string' ? prompt : String(prompt.at(-1)!.content)).trim()
}

export function oneLine(text: string, width = 96): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}
