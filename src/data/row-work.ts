/** What a row becomes by itself, whatever stands beside it, told in data: another thread that is told the same makes the same of it. */
import type { Tokenizer } from '../text/tokenizer.ts'
import { type AnswerRow, type AnswerWork, answerMaker } from './answer-rows.ts'
import { type ResponseParts, responsesOf } from './responses.ts'
import type { Row } from './rows.ts'
import type { Shape } from './shape.ts'
import { type TokenizeOptions, type Tokens, tokenizers } from './tokenize.ts'

/** @throws SaqrError DATA_ROW, TEXT_… */
export type RowMaker<T> = (row: Row, where: string) => T

/** Rows to imitate. */
export interface TextWork {
  kind: 'texts'
  shape: Shape
  settings: TokenizeOptions
  responses: ResponseParts | null
}

export interface TextRow extends Tokens {
  ids: Int32Array
}

/** by kind: what is made of a row */
export interface MadeOf {
  texts: TextRow
  answers: AnswerRow
}
export type RowWork = TextWork | AnswerWork

/** @throws SaqrError OPTION_INVALID, DATA_COLUMNS */
export function makerOf<W extends RowWork>(work: W, tokenizer: Tokenizer): RowMaker<MadeOf[W['kind']]> {
  const maker = work.kind === 'texts' ? textMaker(work, tokenizer) : answerMaker(work, tokenizer)
  return maker as RowMaker<MadeOf[W['kind']]>
}

function textMaker({ shape, settings, responses }: TextWork, tokenizer: Tokenizer): RowMaker<TextRow> {
  const inResponse = responses ? responsesOf(tokenizer, responses) : null
  const tokenise = tokenizers[shape]
  return (row, where) => {
    const { ids, targets, ...rest } = tokenise(row, where, tokenizer, settings)
    // flat memory is what goes to another thread at little cost
    return {
      ids: Int32Array.from(ids),
      targets: inResponse ? inResponse(ids).map((learned, at) => learned & targets[at]!) : targets,
      ...rest,
    }
  }
}
