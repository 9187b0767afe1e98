/** Rows of a run as examples, before anything large is touched: the trainer's own preparation, done as soon as there is a tokenizer. */
import type { Dataset } from '../data/dataset.ts'
import type { Row } from '../data/files.ts'
import type { Prepared } from '../data/prepare.ts'
import type { Model } from '../models/family.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { checkPositions, checkVocabulary } from './check-rows.ts'
import type { Objective } from './objectives/objective.ts'
import { configFields, type TrainingOptions } from './options/sft.ts'

export interface RunRows {
  trainDataset: Dataset
  evalDataset?: Dataset | null
  formattingFunc?: (row: Row) => string
}

export interface PreparedRows {
  prepared: Prepared
  evaluated: Prepared | null
}

/** what was prepared early for the run that is to come: handed over once */
const early = new WeakMap<Tokenizer, { key: readonly unknown[]; made: PreparedRows }>()

/** @throws SaqrError of the objective's `prepare`, and for rows that the model can't take */
export async function prepareRows(
  objective: Objective,
  rows: RunRows,
  tokenizer: Tokenizer,
  o: TrainingOptions,
  model: Model,
  signal?: AbortSignal,
): Promise<PreparedRows> {
  const key = keyOf(objective, rows, o, model)
  const there = early.get(tokenizer)
  early.delete(tokenizer)
  if (there?.key.every((one, i) => one === key[i])) return there.made
  const of = async (dataset: Dataset, evaluation: boolean) => {
    const made = await objective.prepare(dataset, tokenizer, o, { evaluation, formattingFunc: rows.formattingFunc, signal })
    checkPositions(made.examples, model)
    checkVocabulary(made.examples, model)
    return made
  }
  const prepared = await of(rows.trainDataset, false)
  return { prepared, evaluated: rows.evalDataset ? await of(rows.evalDataset, true) : null }
}

/** The same ahead of the run that asks for it with the same arguments. */
export async function prepareEarly(...given: Parameters<typeof prepareRows>): Promise<void> {
  const [objective, rows, tokenizer, o, model] = given
  const made = await prepareRows(...given)
  early.set(tokenizer, { key: keyOf(objective, rows, o, model), made })
}

function keyOf(objective: Objective, rows: RunRows, o: TrainingOptions, { vocab, maxPositions }: Model): readonly unknown[] {
  const settings = Object.keys(configFields).map((name) => o[name as keyof TrainingOptions])
  return [objective, rows.trainDataset, rows.evalDataset ?? null, rows.formattingFunc, JSON.stringify([settings, vocab, maxPositions])]
}
