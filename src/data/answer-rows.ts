/** What rows of a prompt and answers are to an objective: how they are read and become token ids, by name, so that other threads can be told. */
import type { Tokenizer } from '../text/tokenizer.ts'
import type { Dataset } from './dataset.ts'
import type { Example } from './example.ts'
import { type AnsweredTokens, answeredTokens, orpoTokens, type PreferenceShape, preferenceShape, type Tokenise } from './preference.ts'
import { ratedShape } from './rated.ts'
import type { RowMaker } from './row-work.ts'
import type { Row } from './rows.ts'

/** how rows are read: pairs of a chosen and a rejected answer, or answers that are rated one by one */
const shapes = { pairs: preferenceShape, rated: ratedShape } satisfies Record<string, (dataset: Columns) => PreferenceShape>

/** how they become token ids: prompt and answers tokenised together, answers beginning where the tokens part; or as ORPO has it */
const tokenisers = { answered: answeredTokens, orpo: orpoTokens } satisfies Record<string, Tokenise>

/** answers of a pair, in the order of an example */
export const PAIR = ['chosen', 'rejected'] as const

/** What rows are, and what becomes of them. */
export interface AnswerRows {
  /** another one for others: prepared rows are kept under it */
  name: string
  /** what people call the sequences of an example that are trained on, the first ones */
  parts: readonly string[]
  shape: keyof typeof shapes
  tokens: keyof typeof tokenisers
  /** is token `i` of sequence `part`, whose first `prompt` tokens ask, a target? default: where it answers */
  learned?(part: number, i: number, prompt: number): boolean
  /** is the answer of this row a wanted one? absent: rows are not rated */
  wanted?(row: Row, where: string): boolean
  /** looks at them as they are made */
  check?(): Checking
}

export interface Checking {
  see(example: Example, where: string): void
  /** warnings about them all. @throws SaqrError DATA_NO_TARGETS */
  end(source: string): string[]
}

/** of a data set, what says how its rows are read */
export type Columns = Pick<Dataset, 'columns' | 'source'>

/** @throws SaqrError DATA_COLUMNS naming what is missing, with the nearest column */
export const shapeOf = ({ shape }: Pick<AnswerRows, 'shape'>, dataset: Columns): PreferenceShape => shapes[shape](dataset)

/** Answers to a prompt, in data. */
export interface AnswerWork extends Pick<AnswerRows, 'shape' | 'tokens'>, Columns {
  kind: 'answers'
  /** the day that templates are told */
  now: Date
}

export interface AnswerRow extends AnsweredTokens {
  /** the prompt as a form is told by it: the white space that ends a text; null: messages */
  asks: string | null
}

export function answerMaker(work: AnswerWork, tokenizer: Tokenizer): RowMaker<AnswerRow> {
  const { read } = shapeOf(work, work)
  const tokenise = tokenisers[work.tokens]
  return (row, where) => {
    const answered = read(row, where)
    const asks = typeof answered.prompt === 'string' ? /\s*$/.exec(answered.prompt)![0] : null
    const { sequences, ...rest } = tokenise(answered, row, where, tokenizer, work.now)
    // flat memory is what goes to another thread at little cost
    const flat = sequences.map(({ prompt, answer }) => ({ prompt: Int32Array.from(prompt), answer: Int32Array.from(answer) }))
    return { sequences: flat, asks, ...rest }
  }
}
