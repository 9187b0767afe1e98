/** How many questions a model answers word for word, and what it says to the first of them. */
import type { LanguageModel } from '../../engine/language-model.ts'
import { generate } from '../../generate/generate.ts'
import type { Tokenizer } from '../../text/tokenizer.ts'
import { promptIds, type Question } from './questions.ts'

export interface Examinee {
  language: LanguageModel
  tokenizer: Tokenizer
}

export interface Marks {
  right: number
  of: number
  /** the first answers */
  answers: string[]
}

const SHOWN = 3

/** Greedy answers, at most a little longer than the longest that is wanted. */
export async function examine(
  { language, tokenizer }: Examinee,
  questions: readonly Question[],
  maxNewTokens: number,
  signal: AbortSignal,
): Promise<Marks> {
  const marks: Marks = { right: 0, of: questions.length, answers: [] }
  for (const question of questions) {
    let said = ''
    for await (const piece of generate(language, tokenizer, promptIds(question, tokenizer), { maxNewTokens, signal })) said += piece
    if (said.trim() === question.answer.trim()) marks.right++
    if (marks.answers.length < SHOWN) marks.answers.push(said)
  }
  return marks
}

/** Tokens of the longest answer, with a few to spare and at most 128: one that runs on is wrong anyway. */
export function answerTokens({ tokenizer }: Examinee, questions: readonly Question[]): number {
  return Math.min(128, Math.max(...questions.map(({ answer }) => tokenizer.encode(answer).length)) + 4)
}
