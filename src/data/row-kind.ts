/** What rows are to an objective, and what they say, before there is a tokenizer. */
import type { Message } from '../text/chat-template.ts'
import { type AnswerRows, shapeOf } from './answer-rows.ts'
import type { Dataset } from './dataset.ts'
import { type Part, type Read, rowTexts, said } from './row-text.ts'
import type { Row } from './rows.ts'
import { shapeNames } from './shape.ts'

export interface RowKind {
  /** the rows that are trained on: of pairs that are rated one by one, each answer */
  dataset: Dataset
  /** for programs, and for people */
  shape: string
  name: string
  /** columns that are not read */
  unused: string[]
  /** null: rows of token ids, of which nothing can be read. @throws SaqrError DATA_ROW */
  texts: Read | null
}

/** Rows to imitate. @throws SaqrError DATA_COLUMNS */
export function textKind(dataset: Dataset, textField: string): RowKind {
  const { shape, unused } = dataset.recognise(textField)
  return { dataset, shape, name: shapeNames[shape], unused, texts: rowTexts[shape] }
}

/** A prompt, and answers to it that are compared or rated. @throws SaqrError DATA_COLUMNS */
export function answerKind(dataset: Dataset, rows: AnswerRows): RowKind {
  const { name, unused, read } = shapeOf(rows, dataset)
  const texts = (row: Row, where: string): Part[] => {
    const { prompt, answers } = read(row, where)
    const judged = rows.wanted ? [rows.wanted(row, where) ? 'wanted' : 'not wanted'] : rows.parts
    return [...partsOf(prompt, 'prompt', where, true), ...answers.flatMap((answer, i) => partsOf(answer, judged[i]!, where, false))]
  }
  return { dataset, shape: rows.wanted ? 'rated' : 'pairs', name, unused, texts }
}

/** what is asked by the roles of its messages, an answer by what it is */
function partsOf(value: string | Message[], name: string, where: string, prompt: boolean): Part[] {
  if (typeof value === 'string') return [{ text: value, prompt, ...(prompt ? {} : { role: name }) }]
  if (value.length === 0) return []
  const parts = said(value, name, where, prompt)
  return prompt ? parts : parts.map((part) => ({ ...part, role: `${name}, ${part.role}`, prompt: false }))
}
