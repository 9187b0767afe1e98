/** What rows are to a run, before it: read, tokenised, cut, packed and laid out as the trainer would. `saqr data` prints it. */
import { hash } from 'node:crypto'
import type { Dataset } from '../data/dataset.ts'
import type { Example } from '../data/example.ts'
import { type Lengths, lengthsOf, repeats } from '../data/lengths.ts'
import { type Piece, piecesOf } from '../data/pieces.ts'
import { teaches } from '../data/prepare.ts'
import { type Part, rowTexts } from '../data/row-text.ts'
import { type Shape, shapeNames, unreadColumns } from '../data/shape.ts'
import type { Known } from '../engine/open-base.ts'
import { SaqrError } from '../error.ts'
import { requireUnicode } from '../text/tokenizer.ts'
import { checkPositions, checkVocabulary } from './check-rows.ts'
import { type TrainingReport, trainingOf } from './data-steps.ts'
import { evalBatches } from './evaluate.ts'
import type { Objective } from './objectives/objective.ts'
import type { SftOptions } from './options/sft.ts'

export interface DataReport {
  /** file or name */
  source: string
  rows: number
  shape: Shape
  /** columns that are there */
  columns: string[]
  notes: string[]
  warnings: string[]
  /** what `lengths` counts: characters where no tokenizer is known */
  unit: 'tokens' | 'characters'
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

/** Tokens, and which of them are learned; without a tokenizer texts, and who says them. */
export type ShownRow = { where: string } & ({ tokens: Piece[] } | { parts: Part[] })

export interface DataRequest {
  dataset: Dataset
  evalDataset?: Dataset | undefined
  objective: Objective
  options: SftOptions
  signal: AbortSignal
}

/** rows of a kind that are named */
const NAMED = 5

/** @throws SaqrError what the trainer would before its first step, but for what needs weights or a device */
export async function reportRows({ dataset, evalDataset, objective, options: o, signal }: DataRequest, known: Known): Promise<DataReport> {
  const { tokenizer, model } = known
  const making = { cache: o.cacheRows }
  const prepare = (rows: Dataset, evaluation: boolean, options = o) =>
    objective.prepare(rows, tokenizer, options, { evaluation, signal, making })
  const prepared = await prepare(dataset, false)
  const evaluated = evalDataset ? await prepare(evalDataset, true) : null
  for (const { examples } of evaluated ? [prepared, evaluated] : [prepared]) {
    checkPositions(examples, model)
    checkVocabulary(examples, model)
  }
  if (evaluated) evalBatches(evaluated.examples, o)
  const { examples, unused } = o.packing ? await prepare(dataset, false, unpacked(o)) : prepared
  const placeOf = new Map(dataset.rows.map((_, i) => [dataset.numberOf(i), dataset.where(i)]))
  const whereOf = ({ row }: Example) => placeOf.get(row)!
  const untaught = examples
    .filter((example) => !teaches(example))
    .map((example) => `${whereOf(example)}: its first token alone is a target`)
  return {
    ...about(dataset, { shape: dataset.recognise(o.datasetTextField).shape, notes: prepared.notes }),
    warnings: [...prepared.warnings, ...(evaluated?.warnings ?? [])],
    unit: 'tokens',
    lengths: lengthsOf(prepared.lengths),
    duplicates: duplicatesOf(dataset, o.datasetTextField),
    idle: some([...unused, ...untaught]),
    examples: threeOf(examples).map((example) => ({ where: whereOf(example), tokens: piecesOf(example, tokenizer) })),
    training: trainingOf(prepared, evaluated, known, objective, o),
  }
}

/** Before a tokenizer is known. @throws SaqrError DATA_… for what can't be read whatever the model */
export function reportTexts({ dataset, options: o }: DataRequest): DataReport {
  if (dataset.length === 0) throw new SaqrError('DATA_NO_TARGETS', `${dataset.source} has no rows. Give rows to train on.`)
  const { shape, unused } = dataset.recognise(o.datasetTextField)
  const { warnings, others } = unreadColumns(unused, dataset.source)
  const read = rowTexts[shape]
  const unread = others.length > 0 ? `; not read: ${others.join(', ')}` : ''
  const notes = [`${dataset.source}: ${dataset.length} rows of ${shapeNames[shape]}${unread}`]
  const rows = read ? dataset.rows.map((row, i) => read(row, dataset.where(i), o.datasetTextField)) : []
  for (const [i, parts] of rows.entries()) for (const { text } of parts) requireUnicode(text, dataset.where(i))
  const empty = rows.flatMap((parts, i) => (parts.every(({ text }) => text.trim() === '') ? [`${dataset.where(i)}: no text`] : []))
  return {
    ...about(dataset, { shape, notes }),
    warnings,
    unit: 'characters',
    lengths: read ? lengthsOf(rows.map((parts) => parts.reduce((sum, { text }) => sum + text.length, 0))) : null,
    duplicates: duplicatesOf(dataset, o.datasetTextField),
    idle: some(empty),
    examples: threeOf([...rows.keys()]).map((i) => ({ where: dataset.where(i), parts: rows[i]! })),
    training: null,
  }
}

const about = (dataset: Dataset, { shape, notes }: { shape: Shape; notes: string[] }) => ({
  source: dataset.source,
  rows: dataset.length,
  shape,
  columns: dataset.columns,
  notes,
})

/** Rows as they go into packs: bfd cuts them first, the others take them apart. */
function unpacked(o: SftOptions): SftOptions {
  return { ...o, packing: false, maxLength: o.packingStrategy === 'bfd' ? o.maxLength : null, truncationMode: 'keep_start' }
}

const some = (where: string[]): Some => ({ rows: where.length, where: where.slice(0, NAMED) })

/** "rows.jsonl, line 9: as rows.jsonl, line 2" */
function duplicatesOf(dataset: Dataset, textField: string): Some {
  const first = repeats(keysOf(dataset, dataset.recognise(textField).unused))
  return some([...first.entries()].flatMap(([i, there]) => (there === -1 ? [] : [`${dataset.where(i)}: as ${dataset.where(there)}`])))
}

/** of each row what is read of it: two rows are the same where that is */
function keysOf({ rows }: Dataset, unread: readonly string[]): string[] {
  const skipped = new Set(unread)
  const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)
  return rows.map((row) => {
    const read = Object.entries(row).filter(([column]) => !skipped.has(column))
    return hash(
      'sha256',
      JSON.stringify(
        read.sort(([a], [b]) => (a < b ? -1 : 1)),
        plain,
      ),
      'base64',
    )
  })
}

function threeOf<T>(list: readonly T[]): T[] {
  const at = [0, Math.floor((list.length - 1) / 2), list.length - 1]
  return [...new Set(at.filter((i) => i >= 0 && i < list.length))].map((i) => list[i]!)
}
