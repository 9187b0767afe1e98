/**
 * Rows of rated answers as TRL 1.16's KTOTrainer reads them: prompt, completion and label, as texts or messages; pairs of a chosen and a rejected
 * answer are taken apart. LLaMA-Factory's messages with a label, of which the last one is rated, ShareGPT's
 * conversations and Alpaca's rows with one are taken as well.
 */
import { isObject } from '../formats/json.ts'
import { alpacaPrompt } from './alpaca.ts'
import type { Columns } from './answer-rows.ts'
import { bad, isMissing, shown, textOf, textOrNone } from './cells.ts'
import { messagesOf } from './conversation.ts'
import { Dataset } from './dataset.ts'
import { lazyList } from './lazy-list.ts'
import {
  type Answered,
  answerOf,
  BESIDE,
  missingColumn,
  type PreferenceShape,
  preferenceShape,
  RATINGS,
  toPrompt,
  withSystem,
} from './preference.ts'
import type { Row } from './rows.ts'

interface Known {
  name: string
  needs: readonly string[]
  may?: readonly string[]
  read: PreferenceShape['read']
}

const known: readonly Known[] = [
  { name: 'prompt, completion', needs: ['prompt', 'completion'], read: asked },
  { name: 'messages', needs: ['messages'], read: (row, where) => lastOf(row, 'messages', where) },
  {
    name: 'a conversation',
    needs: ['conversations'],
    may: ['system'],
    read: (row, where) => lastOf(row, 'conversations', where),
  },
  { name: 'instruction, input, output', needs: ['instruction', 'output'], may: ['input'], read: instructed },
]

const knownOf = (columns: readonly string[]) => known.find(({ needs }) => needs.every((column) => columns.includes(column)))

const RATED = `A rated answer has ${known.map(({ needs }) => needs.join(' and ')).join(', or ')}, and a label, true where it is wanted; pairs have chosen and rejected`

/** @throws SaqrError DATA_COLUMNS naming what is missing, with the nearest column */
export function ratedShape(dataset: Columns): PreferenceShape {
  const { columns, source } = dataset
  const rating = RATINGS.find((column) => columns.includes(column))
  const found = knownOf(columns)
  const missing = found ? undefined : known[0]!.needs.find((column) => !columns.includes(column))
  if (!found || !rating) throw missingColumn(missing ?? 'label', columns, source, RATED)
  const taken = [...found.needs, ...(found.may ?? []), rating, ...BESIDE]
  const name = `${found.name} and ${rating === 'label' && found.needs.length === 1 ? 'a label' : rating}`
  return { name, unused: columns.filter((column) => !taken.includes(column)), read: found.read }
}

/** These columns are of answers that may be rated. */
export const isRated = (columns: readonly string[]): boolean =>
  RATINGS.some((column) => columns.includes(column)) && knownOf(columns) !== undefined

function asked(row: Row, where: string): Answered {
  if (Array.isArray(row.prompt)) return toPrompt(messagesOf(row.prompt, 'prompt', where), [answerOf(row, 'completion', where)])
  if (Array.isArray(row.completion) || isObject(row.completion))
    throw bad(where, 'prompt is a text, and completion is made of messages: write both alike')
  return { prompt: textOf(row, 'prompt', where), answers: [textOf(row, 'completion', where)] }
}

function lastOf(row: Row, column: 'messages' | 'conversations', where: string): Answered {
  const own = messagesOf(row[column], column, where)
  const messages = column === 'conversations' ? withSystem(row, own, where) : own
  if (messages.at(-1)!.role !== 'assistant') throw bad(where, 'the last of its messages is not the assistant’s, which is rated')
  return { prompt: messages.slice(0, -1), answers: [messages.slice(-1)] }
}

function instructed(row: Row, where: string): Answered {
  const prompt = alpacaPrompt(textOf(row, 'instruction', where), textOrNone(row, 'input', where))
  return { prompt, answers: [textOf(row, 'output', where)] }
}

/** what a cell of a CSV file, which is a text, may say, as pandas reads it */
const SAID: Readonly<Record<string, boolean>> = {
  true: true,
  True: true,
  TRUE: true,
  1: true,
  false: false,
  False: false,
  FALSE: false,
  0: false,
}

/** undefined: it says nothing of an answer */
function judgement(label: unknown): boolean | undefined {
  if (label === true || label === 1) return true
  if (label === false || label === 0) return false
  return typeof label === 'string' && Object.hasOwn(SAID, label) ? SAID[label] : undefined
}

/** The rating of a row says of an answer that it is wanted, or that it isn't. */
export const saysWanted = (row: Row): boolean => judgement(ratingOf(row)[1]) !== undefined

const ratingOf = (row: Row): [column: string, value: unknown] => {
  const column = RATINGS.find((name) => row[name] !== undefined) ?? 'label'
  return [column, row[column]]
}

/** @throws SaqrError DATA_ROW */
export function wantedOf(row: Row, where: string): boolean {
  const [column, label] = ratingOf(row)
  const wanted = judgement(label)
  if (wanted !== undefined) return wanted
  throw bad(where, `${column} must be true (a wanted answer) or false, it is ${shown(isMissing(label) ? undefined : label)}`)
}

/** rows that TRL takes apart at once */
const APART = 1000

const apart = new WeakMap<Dataset, Dataset>()

/** Pairs as rated answers: of every thousand the chosen ones, then the rejected ones. Other rows stay as they are. */
export function takenApart(dataset: Dataset): Dataset {
  let taken = apart.get(dataset)
  if (!taken) apart.set(dataset, (taken = takeApart(dataset)))
  return taken
}

function takeApart(dataset: Dataset): Dataset {
  const { columns } = dataset
  if (RATINGS.some((column) => columns.includes(column)) || !columns.includes('chosen') || !columns.includes('rejected')) return dataset
  const shape = preferenceShape(dataset)
  const others = columns.filter((column) => shape.unused.includes(column) || (BESIDE as readonly string[]).includes(column))
  /** of answer `i`: its pair, and which of both it is */
  const find = (i: number): [pair: number, side: 0 | 1] => {
    const from = i - (i % (2 * APART))
    const pairs = Math.min(APART, dataset.length - from / 2)
    return i - from < pairs ? [from / 2 + i - from, 0] : [from / 2 + i - from - pairs, 1]
  }
  const answer = (i: number): Row => {
    const [pair, side] = find(i)
    const row = dataset.rows[pair]!
    const kept = Object.fromEntries(Object.entries(row).filter(([column]) => others.includes(column)))
    const { prompt, answers } = shape.read(row, dataset.where(pair))
    return { ...kept, prompt, completion: answers[side], label: side === 0 }
  }
  const all = <T>(of: (i: number) => T) => {
    const list = lazyList(2 * dataset.length, of)
    return dataset.isStreamed ? list : [...list]
  }
  return new Dataset(all(answer), dataset.source, {
    places: all((i) => dataset.where(find(i)[0])),
    numbers: all((i) => dataset.numberOf(find(i)[0])),
    columns: dataset.isStreamed ? [...others, 'prompt', 'completion', 'label'] : undefined,
  })
}
