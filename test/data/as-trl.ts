/** Rows of preferences as TRL's trainers tokenise them (tools/oracle/preference_rows.py), and as saqr does, in one form. */
import { type AnswerRows, PAIR } from '../../src/data/answer-rows.ts'
import type { Dataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import { checkPairs, prepareAnswers } from '../../src/data/prepare-answers.ts'
import { takenApart, wantedOf } from '../../src/data/rated.ts'
import type { Row } from '../../src/data/rows.ts'
import type { Tokenizer } from '../../src/text/tokenizer.ts'

export interface PreferenceCase {
  trainer: string
  name: string
  args: { max_length?: number; per_device_train_batch_size?: number }
  rows: Row[]
  made: unknown[]
}

interface Answered {
  prompt: number[]
  answers: number[][]
  wanted?: boolean
}

/** A row's sequences, each with the length of its prompt; null: TRL refuses the row. */
type Sequences = { wanted?: boolean; sequences: { prompt: number; ids: number[] }[] } | null

export const pairs: AnswerRows = { name: 'pairs', parts: PAIR, shape: 'pairs', tokens: 'answered', check: checkPairs }
export const rated: AnswerRows = { name: 'rated', parts: ['answer'], shape: 'rated', tokens: 'answered', wanted: wantedOf }
const KINDS: Readonly<Record<string, AnswerRows>> = {
  dpo: pairs,
  kto: rated,
  orpo: { name: 'orpo', parts: PAIR, shape: 'pairs', tokens: 'orpo' },
}

/** TRL cuts when it makes a batch */
const cutTo = (ids: number[], length: number | undefined) => (length === undefined ? ids : ids.slice(0, length))

export function theirs({ trainer, args, made }: PreferenceCase): Sequences[] {
  if (trainer === 'orpo') return (made as Sequences[]).map((row) => row && { wanted: undefined, ...row })
  return (made as Answered[]).map(({ prompt, answers, wanted }) => ({
    wanted,
    sequences: answers.map((answer) => ({ prompt: prompt.length, ids: cutTo([...prompt, ...answer], args.max_length) })),
  }))
}

/** @throws SaqrError as training does */
export async function ours({ trainer, args }: PreferenceCase, dataset: Dataset, tokenizer: Tokenizer): Promise<Sequences[]> {
  const { examples } = await prepareAnswers(trainer === 'kto' ? takenApart(dataset) : dataset, tokenizer, KINDS[trainer]!, {
    maxLength: args.max_length ?? (trainer === 'orpo' ? 512 : null),
    truncationMode: 'keep_start',
    ...(trainer === 'kto' && { neighbours: args.per_device_train_batch_size }),
  })
  return examples.map((example) => ({ wanted: example.wanted, sequences: sequences(example) }))
}

function sequences({ ids, starts, prompts, targets }: Example): { prompt: number; ids: number[] }[] {
  return prompts!.map((prompt, part) => {
    const [from, to] = [starts![part]!, starts![part + 1] ?? ids.length]
    const wrong = targets.subarray(from, to).findIndex((target, i) => Boolean(target) !== i >= prompt)
    if (wrong >= 0) throw new Error(`token ${wrong} of part ${part} is a target where its prompt has ${prompt} tokens`)
    return { prompt, ids: [...ids.subarray(from, to)] }
  })
}
