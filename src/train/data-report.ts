/** What rows are to a run, before it: read, tokenised, cut, packed and laid out as the trainer would. `saqr data` prints it. */
import { hash } from 'node:crypto'
import { PAIR } from '../data/answer-rows.ts'
import { breathe, unhurried } from '../data/breathe.ts'
import { Counts } from '../data/counts.ts'
import type { Dataset } from '../data/dataset.ts'
import type { Example } from '../data/example.ts'
import { type Lengths, lengthsOf, Repeats } from '../data/lengths.ts'
import { type Piece, piecesOf, sequenceOf } from '../data/pieces.ts'
import { teaches } from '../data/prepare.ts'
import { isPairOfOne } from '../data/prepare-answers.ts'
import type { RowKind } from '../data/row-kind.ts'
import type { Part } from '../data/row-text.ts'
import type { Row } from '../data/rows.ts'
import { unreadColumns } from '../data/shape.ts'
import type { Known } from '../engine/open-base.ts'
import { SaqrError, type Spelling } from '../error.ts'
import { requireUnicode, type Tokenizer } from '../text/tokenizer.ts'
import { plain } from '../track/told.ts'
import { checkExample } from './check-rows.ts'
import { type TrainingReport, trainingOf } from './data-steps.ts'
import { evalBatches } from './evaluate.ts'
import { makingOf } from './making.ts'
import type { Objective } from './objectives/objective.ts'
import type { VerbOptions } from './options/common.ts'
import type { CommonOptions } from './options/common-config.ts'
import type { SftOptions } from './options/sft.ts'

export interface DataReport {
  /** file or name */
  source: string
  rows: number
  /** the objective that they are shown for */
  trainer: string
  shape: string
  /** columns that are there */
  columns: string[]
  notes: string[]
  warnings: string[]
  /** what `lengths` counts: characters where no tokenizer is known */
  unit: 'tokens' | 'characters'
  /** what `lengths` takes of a row: of a pair of answers, the prompt with the longer one, by which it is cut */
  counted: 'row' | 'longer side'
  /** of the rows as they stand, before anything is cut; null: token ids, and no tokenizer */
  lengths: Lengths | null
  /** rows that say the same as one before them */
  duplicates: Some
  /** rows that teach nothing: without a token to learn, or without a text */
  idle: Some
  /** the first, the one in the middle, the last */
  examples: ShownRow[]
  /** what needs a tokenizer; null: there is none */
  training: TrainingReport | null
}

/** Rows of a kind: how many, and where the first of them stand. */
export interface Some {
  rows: number
  where: string[]
}

/** Tokens, and which of them are learned; without a tokenizer texts, and who says them. `part`: which answer of a row it is. */
export type ShownRow = { where: string; part?: string } & ({ tokens: Piece[] } | { parts: Part[] })

export interface DataRequest {
  dataset: Dataset
  evalDataset?: Dataset | undefined
  objective: Objective
  options: TrainOptions
  signal: AbortSignal
  /** of options in warnings */
  spelling: Spelling
}

/** the options of the objective's trainer: what some trainers don't have is absent */
export type TrainOptions = VerbOptions & Partial<Pick<SftOptions, SftAlone>> & Pick<SftOptions, 'maxLength'>
type SftAlone = 'datasetTextField' | 'packing' | 'packingStrategy' | 'truncationMode'

/** rows of a kind that are named */
const NAMED = 5

/** @throws SaqrError what the trainer would before its first step, but for what needs weights or a device */
export async function reportRows(
  { dataset, evalDataset, objective, options: o, signal, spelling }: DataRequest,
  known: Known,
): Promise<DataReport> {
  const { tokenizer, model } = known
  const prepare = (rows: Dataset, evaluation: boolean, options = o) =>
    objective.prepare(rows, tokenizer, options as CommonOptions, { evaluation, signal, making: makingOf(o) })
  const prepared = await prepare(dataset, false)
  const evaluated = evalDataset ? await prepare(evalDataset, true) : null
  for (const { examples } of evaluated ? [prepared, evaluated] : [prepared])
    for await (const example of unhurried(examples, signal)) checkExample(example, model)
  if (evaluated) evalBatches(evaluated.examples, o)
  const { examples, unused, parts = null } = o.packing ? await prepare(dataset, false, unpacked(o)) : prepared
  const kind = objective.rows(dataset, textField(o))
  const shown = threeOf(examples)
  const idle = new Counted<Example>()
  for await (const example of unhurried(examples, signal)) if (teachesNothing(example, parts) !== null) idle.add(example)
  const whereOf = await placesOf(dataset, [...shown, ...idle.first], signal)
  return {
    ...about(kind, objective, prepared.notes),
    warnings: [...prepared.warnings, ...(evaluated?.warnings ?? [])].map((text) => plain(text, spelling)),
    unit: 'tokens',
    counted: parts?.length === PAIR.length ? 'longer side' : 'row',
    lengths: lengthsOf(prepared.lengths),
    duplicates: await duplicatesOf(kind, signal),
    idle: {
      rows: unused.length + idle.rows,
      where: [...unused, ...idle.first.map((example) => `${whereOf(example)}: ${teachesNothing(example, parts)}`)].slice(0, NAMED),
    },
    examples: shown.flatMap((example) => shownParts(example, parts, whereOf(example), tokenizer)),
    training: await trainingOf(prepared, evaluated, known, objective, o, signal),
  }
}

/** Before a tokenizer is known. @throws SaqrError DATA_… for what can't be read whatever the model */
export async function reportTexts({ dataset, objective, options: o, signal }: DataRequest): Promise<DataReport> {
  if (dataset.length === 0) throw new SaqrError('DATA_NO_TARGETS', `${dataset.source} has no rows. Give rows to train on.`)
  const kind = objective.rows(dataset, textField(o))
  const { name, unused, texts } = kind
  const { warnings, others } = unreadColumns(unused, dataset.source)
  const unread = others.length > 0 ? `; not read: ${others.join(', ')}` : ''
  const notes = [`${dataset.source}: ${kind.dataset.length} rows of ${name}${unread}`]
  const where = (i: number) => kind.dataset.where(i)
  const { rows } = kind.dataset
  const said = (row: Row, i: number) => texts!(row, where(i), textField(o))
  const lengths = new Counts()
  const empty = new Counted<string>()
  for await (const [i, row] of unhurried(texts ? rows.entries() : [], signal)) {
    const parts = said(row, i)
    for (const { text } of parts) requireUnicode(text, where(i))
    lengths.add(parts.reduce((sum, { text }) => sum + text.length, 0))
    if (parts.every(({ text }) => text.trim() === '')) empty.add(`${where(i)}: no text`)
  }
  return {
    ...about(kind, objective, notes),
    warnings,
    unit: 'characters',
    counted: 'row',
    lengths: texts ? lengthsOf(lengths) : null,
    duplicates: await duplicatesOf(kind, signal),
    idle: empty.some(String),
    examples: texts ? threePlaces(rows.length).map((i) => ({ where: where(i), parts: said(rows[i]!, i) })) : [],
    training: null,
  }
}

const textField = ({ datasetTextField = 'text' }: TrainOptions) => datasetTextField

/** null: it teaches something */
function teachesNothing(example: Example, parts: readonly string[] | null): string | null {
  if (!teaches(example)) return 'its first token alone is a target'
  return parts?.length === PAIR.length && isPairOfOne(example) ? 'both answers have the same tokens' : null
}

/** The sequences of an example that are trained on, each by itself; of one sequence that. */
function shownParts(example: Example, parts: readonly string[] | null, where: string, tokenizer: Tokenizer): ShownRow[] {
  if (parts === null) return [{ where, tokens: piecesOf(example, tokenizer) }]
  return parts.map((part, i) => {
    const tokens = piecesOf(sequenceOf(example, i), tokenizer)
    return { where, part: example.wanted === undefined ? part : example.wanted ? 'wanted' : 'not wanted', tokens }
  })
}

const about = ({ dataset, shape }: RowKind, { name }: Objective, notes: string[]) => ({
  source: dataset.source,
  rows: dataset.length,
  trainer: name,
  shape,
  columns: dataset.columns,
  notes,
})

/** Rows as they go into packs: bfd cuts them first, the others take them apart. */
function unpacked(o: TrainOptions): TrainOptions {
  return { ...o, packing: false, maxLength: o.packingStrategy === 'bfd' ? o.maxLength : null, truncationMode: 'keep_start' }
}

/** Of a kind: how many, and the first of them; of millions no more is kept. */
class Counted<T> {
  rows = 0
  readonly first: T[] = []

  add(one: T): void {
    if (this.rows++ < NAMED) this.first.push(one)
  }

  some(where: (one: T) => string): Some {
    return { rows: this.rows, where: this.first.map(where) }
  }
}

/** Where the rows of a few examples stand, by one pass over the numbers of all. */
async function placesOf(dataset: Dataset, examples: readonly Example[], signal: AbortSignal): Promise<(example: Example) => string> {
  const wanted = new Set(examples.map(({ row }) => row))
  const places = new Map<number, string>()
  let breath = performance.now()
  for (let i = 0; i < dataset.length; i++) {
    const number = dataset.numberOf(i)
    if (wanted.has(number)) places.set(number, dataset.where(i))
    breath = await breathe(breath, signal)
  }
  return ({ row }) => places.get(row)!
}

/** "rows.jsonl, line 9: as rows.jsonl, line 2" */
async function duplicatesOf({ dataset, unused }: RowKind, signal: AbortSignal): Promise<Some> {
  const skipped = new Set(unused)
  const repeats = new Repeats(dataset.length)
  const again = new Counted<readonly [i: number, first: number]>()
  for await (const [i, row] of unhurried(dataset.rows.entries(), signal)) {
    const there = repeats.firstLike(keyOf(row, skipped))
    if (there !== -1) again.add([i, there])
  }
  return again.some(([i, there]) => `${dataset.where(i)}: as ${dataset.where(there)}`)
}

/** of what is read of a row: two rows are the same where that is */
function keyOf(row: Row, skipped: ReadonlySet<string>): Uint8Array {
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
  const read = Object.entries(row)
    .filter(([column]) => !skipped.has(column))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return hash('sha256', JSON.stringify(read, plain), 'buffer')
}

const threeOf = <T>(list: readonly T[]): T[] => threePlaces(list.length).map((i) => list[i]!)

/** the first, the one in the middle, the last */
function threePlaces(length: number): number[] {
  const at = [0, Math.floor((length - 1) / 2), length - 1]
  return [...new Set(at.filter((i) => i >= 0 && i < length))]
}
