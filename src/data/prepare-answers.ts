/** Rows of a prompt and answers to it as examples of several sequences: tokenised, cut to `maxLength`, those whose prompt fills it left out. */
import { option, SaqrError, say } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { type AnswerRows, type Checking, shapeOf } from './answer-rows.ts'
import { bad, isMissing } from './cells.ts'
import { Counts } from './counts.ts'
import type { Dataset } from './dataset.ts'
import type { Example } from './example.ts'
import { type ExampleStore, inMemory, onDisk } from './example-store.ts'
import type { AnsweredTokens, Sequence } from './preference.ts'
import { handedOver, type Making, onThreads, type Passing, type Prepared } from './prepare.ts'
import { cached } from './prepared-cache.ts'
import { formOfPrompts } from './prompt-form.ts'
import type { Row } from './rows.ts'
import { type Given, rowsMade } from './rows-made.ts'
import { mediaColumns, unreadColumns } from './shape.ts'

export interface AnswerOptions {
  /** tokens of a sequence; null: as long as rows are */
  maxLength: number | null
  truncationMode: 'keep_start' | 'keep_end'
  /** of every so many rows each has, beside its own answer, that of the row before it, the first the last one's; default: it has its own */
  neighbours?: number | undefined
  /** the day that chat templates are told; default now */
  now?: Date
  signal?: AbortSignal
  making?: Making
}

/** A row that is kept, before anything is cut. */
interface Kept {
  sequences: readonly Sequence[]
  row: Row
  where: string
  number: number
  source: string
}

/** @throws SaqrError DATA_COLUMNS, DATA_ROW, TEXT_…; DATA_NO_TARGETS where no row teaches anything */
export function prepareAnswers(dataset: Dataset, tokenizer: Tokenizer, rows: AnswerRows, options: AnswerOptions): Promise<Prepared> {
  const { signal, making = {}, now, ...settings } = options
  const how = JSON.stringify([rows.name, Object.entries(settings).sort()])
  const today = now ?? new Date()
  const { source, length } = dataset
  return handedOver(dataset, [rows, tokenizer, how, now?.getTime()], making, (passing) => {
    const make = () =>
      anew(dataset, tokenizer, rows, { ...options, now: today }, passing).finally(() =>
        making.onProgress?.({ source, done: length, total: length }),
      )
    return making.cache ? cached({ dataset, tokenizer, how, now: today, signal }, make) : make()
  })
}

async function anew(dataset: Dataset, tokenizer: Tokenizer, rows: AnswerRows, options: AnswerOptions, passing: Passing): Promise<Prepared> {
  const store = dataset.isStreamed ? onDisk(dataset.source) : inMemory()
  try {
    return await makeInto(store, dataset, tokenizer, rows, options, passing)
  } finally {
    store.discard()
  }
}

async function makeInto(
  store: ExampleStore,
  dataset: Dataset,
  tokenizer: Tokenizer,
  rows: AnswerRows,
  options: AnswerOptions,
  passing: Passing,
): Promise<Prepared> {
  const { maxLength, truncationMode, neighbours = 1, signal, making, now = new Date() } = options
  if (dataset.length === 0) throw new SaqrError('DATA_NO_TARGETS', `${dataset.source} has no rows. Give rows to train on.`)
  const shape = shapeOf(rows, dataset)
  const { warnings, others } = unreadColumns(shape.unused, dataset.source)
  const notes = [`${dataset.source}: ${dataset.length} rows of ${shape.name}${others.length > 0 ? `; not read: ${others.join(', ')}` : ''}`]
  const media = mediaColumns(shape.unused)
  const unused: string[] = []
  const said = new Set<string>()
  const form = formOfPrompts()
  const check = rows.check?.()
  const lengths = new Counts()
  let kept = 0
  /** rows that have neighbours among each other */
  let together: Kept[] = []
  const add = () => {
    for (const [i, one] of together.entries()) {
      const example = exampleOf(one, sequencesOf(together, i, options), rows, options)
      check?.see(example, one.where)
      store.add(example)
    }
    together = []
  }
  const given = (i: number): Given => {
    const row = dataset.rows[i]!
    const where = dataset.where(i)
    const seen = media.find((column) => !isMissing(row[column]) && String(row[column]) !== '')
    if (seen !== undefined) throw bad(where, `the column ${seen} holds what the model would see or hear, and only text is trained on`)
    return { row, where }
  }
  const { shape: read, tokens } = rows
  const { source, columns, length } = dataset
  const made = rowsMade({
    length,
    given,
    work: { kind: 'answers', shape: read, tokens, source, columns, now },
    tokenizer,
    signal,
    ...onThreads(making, dataset, passing),
  })
  for await (const { i, row, where, made: answered } of made) {
    form.see(answered.asks ?? {})
    for (const note of notesOf(answered)) {
      if (said.has(note)) continue
      said.add(note)
      notes.push(`${where}: ${note}`)
    }
    const { sequences } = answered
    lengths.add(Math.max(...sequences.map(({ prompt, answer }) => prompt.length + answer.length)))
    const longest = Math.max(...sequences.map(({ prompt }) => prompt.length))
    if (maxLength !== null && truncationMode === 'keep_start' && longest >= maxLength)
      unused.push(`${where}: its prompt alone, ${longest} tokens, fills the limit of ${maxLength}`)
    else {
      kept++
      together.push({ sequences, row, where, number: dataset.numberOf(i), source })
      if (together.length === neighbours) add()
    }
  }
  add()
  if (kept === 0)
    throw new SaqrError('DATA_NO_TARGETS', say`${dataset.source}: no row is left. ${some(unused)}. Raise ${option('maxLength')}.`)
  warnings.push(...(check?.end(dataset.source) ?? []))
  return { examples: store.list(), parts: rows.parts, limit: maxLength, lengths, unused, form: form.end(), notes, warnings }
}

function exampleOf(
  { row, where, number, source }: Kept,
  sequences: readonly Sequence[],
  rows: AnswerRows,
  options: AnswerOptions,
): Example {
  const { learned = (_, i, prompt) => i >= prompt } = rows
  const cuts = sequences.map((sequence) => cut(sequence, options))
  const starts = cuts.map((_, i) => cuts.slice(0, i).reduce((sum, { ids }) => sum + ids.length, 0))
  const targets = cuts.flatMap(({ ids, prompt }, part) => ids.map((_, i) => (learned(part, i, prompt) ? 1 : 0)))
  return {
    ids: Int32Array.from(cuts.flatMap(({ ids }) => ids)),
    targets: Uint8Array.from(targets),
    row: number,
    source,
    starts: Int32Array.from(starts),
    prompts: cuts.map(({ prompt }) => prompt),
    ...(rows.wanted ? { wanted: rows.wanted(row, where) } : {}),
  }
}

function sequencesOf(together: readonly Kept[], i: number, { neighbours }: AnswerOptions): readonly Sequence[] {
  const { sequences } = together[i]!
  if (!neighbours) return sequences
  return [...sequences, { prompt: sequences[0]!.prompt, answer: together.at(i - 1)!.sequences[0]!.answer }]
}

function cut({ prompt, answer }: Sequence, { maxLength, truncationMode }: AnswerOptions): { ids: number[]; prompt: number } {
  const ids = [...prompt, ...answer]
  if (maxLength === null || ids.length <= maxLength) return { ids, prompt: prompt.length }
  if (truncationMode === 'keep_start') return { ids: ids.slice(0, maxLength), prompt: Math.min(prompt.length, maxLength) }
  return { ids: ids.slice(-maxLength), prompt: Math.max(0, prompt.length - (ids.length - maxLength)) }
}

/** Both of its sequences have the same tokens. */
export const isPairOfOne = ({ ids, starts }: Example): boolean => ids.subarray(0, starts![1]).join() === ids.subarray(starts![1]).join()

/** Pairs whose answers are the same are counted: nothing can be learned where all are. */
export function checkPairs(): Checking {
  let all = 0
  let alike = 0
  const first: string[] = []
  return {
    see(example, where) {
      all++
      if (!isPairOfOne(example)) return
      alike++
      if (first.length < NAMED) first.push(where)
    },
    end(source) {
      const places = some(first, alike)
      if (alike === all)
        throw new SaqrError(
          'DATA_NO_TARGETS',
          `${source}: chosen and rejected are the same in every row, so there is nothing to prefer: ${places}.`,
        )
      if (alike === 0) return []
      const [pairs, them] = alike === 1 ? ['1 pair has', 'it'] : [`${alike} pairs have`, 'them']
      return [`${pairs} the same tokens chosen and rejected, so nothing is learned from ${them}: ${places}`]
    },
  }
}

function notesOf({ lost, notes }: AnsweredTokens): string[] {
  if (lost === undefined) return notes
  return [
    ...notes,
    `the end of the prompt, ${JSON.stringify(lost)}, has other tokens before an answer; such rows begin their answers where the tokens part`,
  ]
}

const NAMED = 3
const some = (list: readonly string[], all = list.length) =>
  `${list.slice(0, NAMED).join('; ')}${all > NAMED ? ` and ${all - NAMED} more` : ''}`
