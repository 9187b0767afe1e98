/**
 * Rows of preferences as TRL 1.16's DPOTrainer reads them: prompt, chosen and rejected, each a text or messages; without a prompt, what chosen
 * and rejected begin with together is one, and beside a prompt that is a text where they hold messages (UltraFeedback), as TRL's
 * maybe_extract_prompt has it; a prompt of messages that stands in its answers again is asked once. LLaMA-Factory's conversations, and Alpaca's instructions, with one answer each are taken as well. Where a column
 * asks what the answers don't begin with, TRL trains them without a question; here the row is refused.
 */
import { SaqrError } from '../error.ts'
import { isObject } from '../formats/json.ts'
import { nearest } from '../hub/nearest.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { alpacaPrompt } from './alpaca.ts'
import type { Columns } from './answer-rows.ts'
import { bad, textOf, textOrNone } from './cells.ts'
import { chatColumns, messagesOf } from './conversation.ts'
import type { Row } from './rows.ts'
import { behindPrompt, REPEATED, said } from './said.ts'
import { isRow } from './shape.ts'
import { chat, noEos, withEos } from './tokenize.ts'

/** a prompt, and the answers to it */
export type Answered = ({ prompt: string; answers: string[] } | { prompt: Message[]; answers: Message[][] }) & {
  /** what a person is told of how the row was read */
  note?: string
}

/** columns that rate an answer, the first one there: TRL's, and LLaMA-Factory's */
export const RATINGS = ['label', 'kto_tag'] as const

/** columns that rows of answers may have beside what they need */
export const BESIDE = ['tools', 'chat_template_kwargs'] as const

export interface PreferenceShape {
  /** what a person reads */
  name: string
  /** columns that are not read */
  unused: string[]
  read(row: Row, where: string): Answered
}

/** @throws SaqrError DATA_COLUMNS naming what is missing, with the nearest column */
export function preferenceShape(dataset: Columns): PreferenceShape {
  const { columns, source } = dataset
  for (const needed of ['chosen', 'rejected'])
    if (!columns.includes(needed))
      throw missingColumn(needed, columns, source, `${madeFor(columns)}A pair has chosen, rejected and ${ASKED}`)
  const from = prompts.find(({ column }) => columns.includes(column)) ?? { column: 'chosen', beside: [], name: 'chosen and rejected' }
  const read = [from.column, ...from.beside, 'chosen', 'rejected', ...BESIDE]
  return {
    name: from.name,
    unused: columns.filter((column) => !read.includes(column)),
    read: (row, where) => {
      if (from.column === 'chosen') return both(row, where)
      return from.column === 'instruction' ? instructed(row, where) : asked(row, from.column, where)
    },
  }
}

/** columns that hold the prompt, the first one there; what is read beside them */
const prompts: readonly { column: string; beside: readonly string[]; name: string }[] = [
  { column: 'prompt', beside: [], name: 'prompt, chosen and rejected' },
  { column: 'conversations', beside: ['system'], name: 'a conversation, chosen and rejected' },
  { column: 'instruction', beside: ['input'], name: 'instruction, input, chosen and rejected (Alpaca)' },
]

/** columns under other names that people ask in */
const ASKING = ['question', 'query', 'input', 'problem'] as const

/** Messages hold the instruction; texts answer it. */
function instructed(row: Row, where: string): Answered {
  if (Array.isArray(row.chosen) && Array.isArray(row.rejected)) return both(row, where)
  const prompt = alpacaPrompt(textOf(row, 'instruction', where), textOrNone(row, 'input', where))
  return { prompt, answers: [textOf(row, 'chosen', where), textOf(row, 'rejected', where)] }
}

const ASKED = `what is asked: ${prompts.map(({ column }) => column).join(', ')}, or the messages that both begin with`

/** Who trains on rows that are no pairs. */
function madeFor(columns: readonly string[]): string {
  if (!isRow(columns)) return ''
  const rated = RATINGS.some((column) => columns.includes(column))
  return rated ? 'Rows of rated answers are for saqr kto (KTOTrainer). ' : 'Rows of one answer each are for saqr sft (SFTTrainer). '
}

/**
 * @param advice what such rows are, a sentence; where a column nearly has the name, that one is told
 * @throws SaqrError DATA_COLUMNS
 */
export function missingColumn(needed: string, columns: readonly string[], source: string, advice: string): SaqrError {
  const close = nearest(needed, columns)
  const there = `${source} has no column ${needed}; it has ${columns.join(', ') || '(none)'}`
  return new SaqrError('DATA_COLUMNS', close ? `${there}: is it ${close}? Rename it.` : `${there}. ${advice}.`)
}

function asked(row: Row, from: string, where: string): Answered {
  if (!Array.isArray(row[from])) {
    const both = ['chosen', 'rejected'].every((answer) => Array.isArray(row[answer]))
    if (typeof row[from] === 'string' && both) {
      const held = implicit(row, where)
      if (held.prompt.length > 0) return held
    }
    for (const answer of ['chosen', 'rejected'])
      if (Array.isArray(row[answer]) || isObject(row[answer]))
        throw bad(
          where,
          `${from} is a text, and ${answer} is made of messages: write both alike, or put it before the answers of both, as a user's message`,
        )
    const prompt = textOf(row, from, where)
    const answers = [textOf(row, 'chosen', where), textOf(row, 'rejected', where)]
    const again = prompt.trim() !== '' && answers.every((answer) => answer.startsWith(prompt))
    return again ? { prompt, answers, note: AGAIN } : { prompt, answers }
  }
  const messages = messagesOf(row[from], from, where)
  const prompt = from === 'conversations' ? withSystem(row, messages, where) : messages
  return toPrompt(prompt, [answerOf(row, 'chosen', where), answerOf(row, 'rejected', where)])
}

/** of texts it may be meant */
const AGAIN =
  'chosen and rejected both begin with their prompt, which is then asked twice: write the answers without it, unless that is meant'

/** The answers to it, without a prompt that stands in them again. */
export function toPrompt(prompt: Message[], given: Message[][]): Answered {
  const answers = given.map((answer) => behindPrompt(prompt, answer))
  return answers.every((answer, i) => answer === given[i]) ? { prompt, answers } : { prompt, answers, note: REPEATED }
}

/** ShareGPT keeps it in a column of its own */
export function withSystem(row: Row, messages: Message[], where: string): Message[] {
  const content = textOrNone(row, 'system', where)
  return content === '' ? messages : [{ role: 'system', content }, ...messages]
}

/** one message, or several */
export function answerOf(row: Row, column: string, where: string): Message[] {
  const value = row[column]
  if (typeof value === 'string')
    throw bad(where, `${column} is a text, and the prompt is made of messages: write it as a message, with role and content`)
  return messagesOf(isObject(value) ? [value] : value, column, where)
}

/** Conversations that are answers to one prompt. */
function both(row: Row, where: string): Answered {
  const answered = implicit(row, where)
  if (typeof answered.prompt !== 'string' && answered.prompt.length === 0)
    throw bad(where, 'chosen and rejected begin with different messages, so there is no prompt that both answer: begin them alike')
  return answered
}

/** What both begin with is the prompt, as TRL's extract_prompt finds it. */
function implicit(row: Row, where: string): Answered {
  const { chosen, rejected } = row
  if (Array.isArray(chosen) && Array.isArray(rejected)) {
    const [a, b] = [messagesOf(chosen, 'chosen', where), messagesOf(rejected, 'rejected', where)]
    const at = parting(a.map(said), b.map(said))
    return { prompt: a.slice(0, at), answers: [a.slice(at), b.slice(at)] }
  }
  const a = [...textOf(row, 'chosen', where)]
  const b = [...textOf(row, 'rejected', where)]
  if (a.length === 0 || b.length === 0) throw bad(where, `${a.length === 0 ? 'chosen' : 'rejected'} is empty, so there is no prompt in it`)
  const end = parting(a, b)
  // a space before the answers is theirs
  const at = end > 0 && a[end] !== b[end] && a[end - 1] === ' ' ? end - 1 : end
  const prompt = a.slice(0, at).join('')
  const unread = ASKING.find((column) => typeof row[column] === 'string' && !prompt.includes(row[column].trim()))
  if (unread)
    throw bad(
      where,
      `there is no column prompt, and what chosen and rejected begin with together does not hold what stands in ${unread}: rename ${unread} to prompt`,
    )
  return { prompt, answers: [a.slice(at).join(''), b.slice(at).join('')] }
}

/** where they part; what goes on without parting keeps its last part as the answer */
function parting(a: readonly string[], b: readonly string[]): number {
  const least = Math.min(a.length, b.length)
  for (let i = 0; i < least; i++) if (a[i] !== b[i]) return i
  return least - 1
}

/** messages rendered whole */
const ALL = { textField: 'text', completionOnlyLoss: false, assistantOnlyLoss: false }

/** token ids of a prompt and an answer to it */
export interface Sequence {
  prompt: readonly number[] | Int32Array
  answer: readonly number[] | Int32Array
}

export interface AnsweredTokens {
  /** one for each answer */
  sequences: Sequence[]
  /** the end of the prompt that the row lost, because its tokens merge with an answer's */
  lost?: string
  notes: string[]
}

/** how a row becomes token ids */
export type Tokenise = (answered: Answered, row: Row, where: string, tokenizer: Tokenizer, now: Date) => AnsweredTokens

/** As DPO and KTO have it: answers begin where the tokens of the prompt alone and those of prompt and answer part, for all of them alike. */
export const answeredTokens: Tokenise = (answered, row, where, tokenizer, now) => {
  const { prompt, wholes, notes } =
    typeof answered.prompt === 'string'
      ? textTokens(answered as TextAnswers, where, tokenizer)
      : chatTokens(answered as ChatAnswers, row, where, tokenizer, now)
  const length = Math.min(...wholes.map((whole) => commonLength(prompt, whole)))
  const lost = length < prompt.length ? { lost: tokenizer.decode(prompt.slice(length)) } : {}
  return {
    sequences: wholes.map((whole) => ({ prompt: prompt.slice(0, length), answer: whole.slice(length) })),
    notes: told(answered, notes),
    ...lost,
  }
}

type TextAnswers = Extract<Answered, { prompt: string }>
type ChatAnswers = Exclude<Answered, { prompt: string }>

function textTokens({ prompt, answers }: TextAnswers, where: string, tokenizer: Tokenizer) {
  const encode = (text: string) => tokenizer.encode(text, { where })
  return { prompt: encode(prompt), wholes: answers.map((answer) => encode(prompt + withEos(answer, tokenizer))), notes: [] }
}

function chatTokens({ prompt, answers }: ChatAnswers, row: Row, where: string, tokenizer: Tokenizer, now: Date) {
  const wholes = answers.map((answer) => chat([...prompt, ...answer], row, where, tokenizer, { ...ALL, now }))
  const given = { ...chatColumns(row, where), now, where, addGenerationPrompt: true }
  return {
    prompt: [...tokenizer.applyChatTemplate(wholes[0]!.messages.slice(0, prompt.length), given).ids],
    wholes: wholes.map(({ ids }) => Array.from(ids)),
    notes: wholes.flatMap(({ notes = [] }) => notes),
  }
}

/**
 * As ORPO has it: texts first, the prompt being what they begin with together; an answer begins behind as many tokens as the prompt alone has, one
 * earlier where they merge. The beginning-of-text token stands in front, the end-of-text token behind, each unless it is there.
 */
export const orpoTokens: Tokenise = (answered, row, where, tokenizer, now) => {
  const { prompt, texts, notes } =
    typeof answered.prompt === 'string'
      ? { prompt: answered.prompt, texts: (answered as TextAnswers).answers.map((answer) => answered.prompt + answer), notes: [] }
      : chatTexts(answered as ChatAnswers, row, where, tokenizer, now)
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false, where })
  const alone = encode(prompt)
  const { bosId, eosId } = tokenizer
  if (eosId === null) throw noEos()
  const sequences = texts.map((text): Sequence => {
    const whole = encode(text)
    // TRL takes for granted that one token merges at the most, and refuses others
    const parted = commonLength(alone, whole)
    const length = parted === alone.length ? parted : whole.length < alone.length ? parted : alone.length - 1
    const [before, answer] = [whole.slice(0, length), whole.slice(length)]
    return {
      prompt: bosId === null || before[0] === bosId ? before : [bosId, ...before],
      answer: answer.at(-1) === eosId ? answer : [...answer, eosId],
    }
  })
  return { sequences, notes: told(answered, notes) }
}

const told = ({ note }: Answered, notes: string[]) => (note === undefined ? notes : [note, ...notes])

function chatTexts({ prompt, answers }: ChatAnswers, row: Row, where: string, tokenizer: Tokenizer, now: Date) {
  if (prompt.at(-1)?.role === 'assistant')
    throw bad(where, 'its prompt ends with what the assistant says, which ORPO would go on with: end it with a user’s message')
  const wholes = answers.map((answer) => chat([...prompt, ...answer], row, where, tokenizer, { ...ALL, now }))
  const given = { ...chatColumns(row, where), now, where, addGenerationPrompt: true }
  const alone = tokenizer.applyChatTemplate(wholes[0]!.messages.slice(0, prompt.length), given).text
  const length = Math.min(...wholes.map(({ text }) => commonLength([...alone], [...text])))
  const begin = [...alone].slice(0, length).join('')
  return { prompt: begin, texts: wholes.map(({ text }) => text), notes: wholes.flatMap(({ notes = [] }) => notes) }
}

function commonLength(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  let i = 0
  while (i < Math.min(a.length, b.length) && a[i] === b[i]) i++
  return i
}
