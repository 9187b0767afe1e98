/** Rows of a run as examples, before anything large is touched: the trainer's own preparation, done as soon as there is a tokenizer. */
import type { Dataset } from '../data/dataset.ts'
import type { Example } from '../data/example.ts'
import type { Row } from '../data/files.ts'
import { type Prepared, type PrepareOptions, prepare } from '../data/prepare.ts'
import { option, SaqrError, say } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import type { TrainingOptions } from './options/sft.ts'

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

/** @throws SaqrError of `prepare`, DATA_TOO_LONG for a row with more tokens than the model has positions for */
export async function prepareRows(
  rows: RunRows,
  tokenizer: Tokenizer,
  o: TrainingOptions,
  maxPositions: number,
  signal?: AbortSignal,
): Promise<PreparedRows> {
  const key = keyOf(rows, o, maxPositions)
  const there = early.get(tokenizer)
  early.delete(tokenizer)
  if (there?.key.every((one, i) => one === key[i])) return there.made
  const options: PrepareOptions = { ...settingsOf(o), formattingFunc: rows.formattingFunc, signal }
  const prepared = await prepare(rows.trainDataset, tokenizer, options)
  const evaluated = rows.evalDataset
    ? await prepare(rows.evalDataset, tokenizer, { ...options, packing: o.evalPacking ?? o.packing })
    : null
  checkPositions(prepared.examples, maxPositions)
  if (evaluated) checkPositions(evaluated.examples, maxPositions)
  return { prepared, evaluated }
}

/** The same ahead of the run that asks for it with the same arguments. */
export async function prepareEarly(...given: Parameters<typeof prepareRows>): Promise<void> {
  const [rows, tokenizer, o, maxPositions] = given
  const made = await prepareRows(...given)
  early.set(tokenizer, { key: keyOf(rows, o, maxPositions), made })
}

function settingsOf(o: TrainingOptions): PrepareOptions {
  const { datasetTextField, maxLength, truncationMode, completionOnlyLoss, assistantOnlyLoss, packing, packingStrategy } = o
  return { datasetTextField, maxLength, truncationMode, completionOnlyLoss, assistantOnlyLoss, packing, packingStrategy }
}

function keyOf(rows: RunRows, o: TrainingOptions, maxPositions: number): readonly unknown[] {
  const settings = { ...settingsOf(o), evalPacking: o.evalPacking, maxPositions }
  return [rows.trainDataset, rows.evalDataset ?? null, rows.formattingFunc, JSON.stringify(settings)]
}

function checkPositions(examples: readonly Example[], maxPositions: number): void {
  for (const { ids, starts, row, source } of examples) {
    if (ids.length <= maxPositions) continue
    const bounds = [...(starts ?? [0]), ids.length]
    const longest = Math.max(...bounds.slice(1).map((to, i) => to - bounds[i]!))
    if (longest <= maxPositions) continue
    throw new SaqrError(
      'DATA_TOO_LONG',
      say`${source}, row ${row}: ${longest} tokens, but the model knows ${maxPositions} positions (max_position_embeddings). Set ${option('maxLength')} to ${maxPositions} or less.`,
    )
  }
}
