/**
 * Rows of rated answers as TRL 1.16's KTOTrainer reads them: prompt, completion and label, as texts or messages; pairs of a chosen and a rejected
 * answer are taken apart. LLaMA-Factory's messages with a label, of which the last one is rated, are taken as well.
 */
import { isObject } from '../formats/json.ts'
import { bad, isMissing, shown, textOf } from './cells.ts'
import { messagesOf } from './conversation.ts'
import { Dataset } from './dataset.ts'
import { type Answered, answerOf, BESIDE, missingColumn, type PreferenceShape, preferenceShape } from './preference.ts'
import type { Row } from './rows.ts'
import { requireInMemory } from './streamed.ts'

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
  requireInMemory(dataset, 'trained on as preferences')
  const { columns } = dataset
  if (columns.includes('label') || !columns.includes('chosen') || !columns.includes('rejected')) return dataset
  const shape = preferenceShape(dataset)
  const kept = [...shape.unused, ...BESIDE]
  const rows: Row[] = []
  const places: string[] = []
  const numbers: number[] = []
  for (let from = 0; from < dataset.length; from += APART) {
    for (const side of [0, 1]) {
      for (let i = from; i < Math.min(dataset.length, from + APART); i++) {
        const others = Object.fromEntries(Object.entries(dataset.rows[i]!).filter(([column]) => kept.includes(column)))
        const { prompt, answers } = shape.read(dataset.rows[i]!, dataset.where(i))
        rows.push({ ...others, prompt, completion: answers[side], label: side === 0 })
        places.push(dataset.where(i))
        numbers.push(dataset.numberOf(i))
      }
    }
  }
  return new Dataset(rows, dataset.source, { places, numbers })
}
