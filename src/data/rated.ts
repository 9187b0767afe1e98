/**
 * Rows of rated answers as TRL 1.16's KTOTrainer reads them: prompt, completion and label, as texts or messages; pairs of a chosen and a rejected
 * answer are taken apart. LLaMA-Factory's messages with a label, of which the last one is rated, are taken as well.
 */
import { isObject } from '../formats/json.ts'
import { bad, isMissing, shown, textOf } from './cells.ts'
import { messagesOf } from './conversation.ts'
import { Dataset } from './dataset.ts'
import { lazyList } from './lazy-list.ts'
import { type Answered, answerOf, BESIDE, missingColumn, type PreferenceShape, preferenceShape } from './preference.ts'
import type { Row } from './rows.ts'

/** @throws SaqrError DATA_COLUMNS naming what is missing, with the nearest column */
export function ratedShape(dataset: Dataset): PreferenceShape {
  const { columns, source } = dataset
  if (columns.includes('label') && columns.includes('messages') && !columns.includes('completion'))
    return shapeOf('messages and a label', columns, ['messages', 'label'], lastOf)
  for (const needed of ['prompt', 'completion', 'label']) if (!columns.includes(needed)) throw missingColumn(needed, columns, source)
  return shapeOf('prompt, completion and label', columns, ['prompt', 'completion', 'label'], asked)
}

function shapeOf(name: string, columns: readonly string[], needs: readonly string[], read: PreferenceShape['read']): PreferenceShape {
  const known = [...needs, ...BESIDE]
  return { name, unused: columns.filter((column) => !known.includes(column)), read }
}

function asked(row: Row, where: string): Answered {
  if (Array.isArray(row.prompt)) return { prompt: messagesOf(row.prompt, 'prompt', where), answers: [answerOf(row, 'completion', where)] }
  if (Array.isArray(row.completion) || isObject(row.completion))
    throw bad(where, 'prompt is a text, and completion is made of messages: write both alike')
  return { prompt: textOf(row, 'prompt', where), answers: [textOf(row, 'completion', where)] }
}

function lastOf(row: Row, where: string): Answered {
  const messages = messagesOf(row.messages, 'messages', where)
  if (messages.at(-1)!.role !== 'assistant') throw bad(where, 'the last of its messages is not the assistant’s, which the label would rate')
  return { prompt: messages.slice(0, -1), answers: [messages.slice(-1)] }
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

export const isLabel = (value: unknown): boolean => judgement(value) !== undefined

/** @throws SaqrError DATA_ROW */
export function wantedOf({ label }: Row, where: string): boolean {
  const wanted = judgement(label)
  if (wanted !== undefined) return wanted
  throw bad(where, `label must be true (a wanted answer) or false, it is ${shown(isMissing(label) ? undefined : label)}`)
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
  if (columns.includes('label') || !columns.includes('chosen') || !columns.includes('rejected')) return dataset
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
