/**
 * A data set as examples, as TRL 1.16's SFTTrainer prepares it: tokenise, mark targets, cut to `maxLength`, drop what has no target
 * left, or pack instead of cutting. Rows that can't be read are errors; rows that teach nothing are left out and named.
 */
import { type Message, option, SaqrError, say } from '../error.ts'
import { shown } from '../hub/arguments.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { bad, isMissing } from './cells.ts'
import { Counts } from './counts.ts'
import type { Dataset } from './dataset.ts'
import type { Example } from './example.ts'
import { type ExampleStore, inMemory, onDisk } from './example-store.ts'
import { type PackingStrategy, packer } from './packing.ts'
import { cached } from './prepared-cache.ts'
import { formOfTexts, type PromptForm, promptFormOf } from './prompt-form.ts'
import type { ResponseParts } from './responses.ts'
import type { Row } from './rows.ts'
import { type Given, rowsMade } from './rows-made.ts'
import { mediaColumns, type Shape, shapeNames, strayShape, unreadColumns } from './shape.ts'

export interface PrepareOptions {
  /** column of whole texts; default text */
  datasetTextField?: string
  /** tokens of an example; null: as long as rows are (default) */
  maxLength?: number | null
  /** which end of a row that is too long stays: keep_start (default) or keep_end */
  truncationMode?: 'keep_start' | 'keep_end'
  /** default: true for rows of prompt and completion, else false (Alpaca rows too: every token is a target) */
  completionOnlyLoss?: boolean | null
  /** targets are what the chat template says the assistant wrote */
  assistantOnlyLoss?: boolean
  /** targets are what stands between these parts, of the tokens that are targets otherwise */
  responses?: ResponseParts | null
  packing?: boolean
  packingStrategy?: PackingStrategy
  /** makes one text of a row, whatever its columns */
  formattingFunc?: (row: Row) => string
  /** the day that chat templates are told; default now */
  now?: Date
  signal?: AbortSignal
  making?: Making
}

/** What becomes of prepared rows beside being given back. */
export interface Making {
  /** handed over, once, to who prepares the same rows in the same way next */
  ahead?: boolean | undefined
  /** kept on disk, and found there; never where a function of the user's has a part in them */
  cache?: boolean | undefined
  /** that make rows side by side, this one counted; default 1. A function of the user's is called by this one */
  threads?: number | undefined
  /** they start with the first row; default: once what is left to make is worth it */
  atOnce?: boolean | undefined
  /** told where rows are made, not where they are found */
  note?: string | undefined
  /** hears how many rows are done, every 30 ms or so */
  onProgress?: ((progress: RowProgress) => void) | undefined
}

export interface RowProgress {
  /** default: preparing */
  doing?: string
  source: string
  done: number
  total: number
}

export interface Prepared {
  examples: readonly Example[]
  /** of rows to imitate: what their columns said */
  shape?: Shape
  /** of rows of answers: what the sequences of an example that are trained on are called; others stand behind them, to compare with */
  parts?: readonly string[]
  /** tokens of the rows of the data set (of several sequences, of the longest), before anything is cut */
  lengths: Counts
  /** tokens that a row keeps at most; null: all */
  limit: number | null
  /** rows left out, with the reason: "rows.jsonl, line 17: no target …" */
  unused: string[]
  /** how the rows ask; null: none could be told */
  form: PromptForm | null
  /** what a user should know, a line each */
  notes: string[]
  /** what may be wrong, a line each; only texts are kept on disk */
  warnings: (string | Message)[]
}

/**
 * @throws SaqrError DATA_COLUMNS, DATA_ROW, TEXT_…: a row that can't be prepared; DATA_NO_TARGETS: nothing to learn in any row;
 * OPTION_INVALID: options that contradict each other or the data
 */
export async function prepare(dataset: Dataset, tokenizer: Tokenizer, options: PrepareOptions = {}): Promise<Prepared> {
  const { signal, formattingFunc, making = {}, now, ...settings } = options
  const how = JSON.stringify(['sft', Object.entries(settings).sort()])
  const today = now ?? new Date()
  return handedOver(dataset, [tokenizer, formattingFunc, how, now?.getTime()], making, (passing) => {
    const make = () => prepareAnew(dataset, tokenizer, { ...options, now: today }, passing)
    return making.cache && !formattingFunc ? cached({ dataset, tokenizer, how, now: today, signal }, make) : make()
  })
}

/** Notes of how rows were made, which are not kept with them: each once. */
export interface Passing {
  notes: Set<string>
}

/** What was prepared ahead with the same key, else what `make` gives. */
export async function handedOver(
  dataset: Dataset,
  key: readonly unknown[],
  making: Making,
  make: (passing: Passing) => Promise<Prepared>,
): Promise<Prepared> {
  const there = ahead.get(dataset)
  ahead.delete(dataset)
  if (there?.key.length === key.length && there.key.every((one, i) => one === key[i])) return there.made
  const passing: Passing = { notes: new Set() }
  const kept = await make(passing)
  const made = { ...kept, notes: [...kept.notes, ...passing.notes] }
  if (making.ahead) ahead.set(dataset, { key, made })
  return made
}

/** By how many threads rows are made, and who hears of it. */
export function onThreads({ threads = 1, atOnce, note, onProgress }: Making = {}, { source, length }: Dataset, { notes }: Passing) {
  if (note !== undefined) notes.add(`${source}: ${note}`)
  return {
    threads,
    atOnce,
    onProgress: (done: number) => onProgress?.({ source, done, total: length }),
    onFailure: (why: string) => void notes.add(`${source}: a thread that prepares rows ended (${why}); the others make its rows`),
  }
}

const isEmpty = (value: unknown) => isMissing(value) || value === '' || (Array.isArray(value) && value.length === 0)

/** What was prepared ahead of a data set, handed over once to who asks for the same. */
const ahead = new WeakMap<Dataset, { key: readonly unknown[]; made: Prepared }>()

async function prepareAnew(dataset: Dataset, tokenizer: Tokenizer, options: PrepareOptions, passing: Passing): Promise<Prepared> {
  const store = dataset.isStreamed ? onDisk(dataset.source) : inMemory()
  try {
    return await prepareInto(store, dataset, tokenizer, options, passing)
  } finally {
    store.discard()
    options.making?.onProgress?.({ source: dataset.source, done: dataset.length, total: dataset.length })
  }
}

async function prepareInto(
  store: ExampleStore,
  dataset: Dataset,
  tokenizer: Tokenizer,
  options: PrepareOptions,
  passing: Passing,
): Promise<Prepared> {
  const { maxLength = null, packing = false, formattingFunc, signal, making } = options
  if (dataset.length === 0) throw new SaqrError('DATA_NO_TARGETS', `${dataset.source} has no rows. Give rows to train on.`)
  const { shape, unused: columns } = formattingFunc ? { shape: 'text' as Shape, unused: [] } : dataset.recognise(options.datasetTextField)
  const settings = {
    textField: formattingFunc ? 'text' : (options.datasetTextField ?? 'text'),
    completionOnlyLoss: options.completionOnlyLoss ?? (shape === 'prompt-completion' && !options.responses),
    assistantOnlyLoss: options.assistantOnlyLoss ?? false,
    now: options.now ?? new Date(),
  }
  requireConsistent(dataset, shape, options)
  const { warnings, others } = unreadColumns(columns, dataset.source)
  const notes = [
    `${dataset.source}: ${dataset.length} rows of ${shapeNames[shape]}${others.length > 0 ? `; not read: ${others.join(', ')}` : ''}`,
  ]
  const media = mediaColumns(columns)
  const unused: string[] = []
  const said = new Set<string>() // each note once
  const packs = packing ? packer(maxLength!, options.packingStrategy) : null
  const lengths = new Counts()
  let teaching = false
  const keep = (example: Example) => {
    teaching ||= teaches(example)
    store.add(example)
  }
  const formatted: string[] = []
  const given = (i: number): Given => {
    const row = dataset.rows[i]!
    const where = dataset.where(i)
    const seen = media.find((column) => !isEmpty(row[column]))
    if (seen !== undefined) throw bad(where, `the column ${seen} holds what the model would see or hear, and only text is trained on`)
    if (formattingFunc) return { row, of: { text: format(formattingFunc, row, where, formatted) }, where }
    const stray = strayShape(row, shape, settings.textField)
    if (stray)
      throw new SaqrError(
        'DATA_ROW',
        `${where}: the row is one of ${shapeNames[stray]}, and the data set's columns are those of ${shapeNames[shape]}: put rows of each shape into a file of their own`,
      )
    return { row, where }
  }
  const { source, length } = dataset
  const made = rowsMade({
    length,
    given,
    work: { kind: 'texts', shape, settings, responses: options.responses ?? null },
    tokenizer,
    signal,
    ...onThreads(making, dataset, passing),
  })
  for await (const { i, where, made: tokens } of made) {
    const { ids, targets, lost, notes: told = [] } = tokens
    for (const note of told.filter((one) => !said.has(one))) {
      said.add(note)
      notes.push(`${where}: ${note}`)
    }
    if (shape === 'text' && beginsTwice(ids, tokenizer) && !said.has('twice')) {
      said.add('twice')
      notes.push(
        `${where}: the row begins with ${tokenizer.bosToken} twice: it stands in the text, and the tokenizer puts it before every text, as in TRL. Take it out of the texts, or train on messages.`,
      )
    }
    if (lost !== undefined && !said.has('lost')) {
      said.add('lost')
      notes.push(
        `${where}: the end of the prompt, ${JSON.stringify(lost)}, has other tokens before the completion; such rows begin their completion where the tokens part.`,
      )
    }
    lengths.add(ids.length)
    const example = cut({ ids, targets, row: dataset.numberOf(i), source }, packing ? null : maxLength, options)
    const why =
      example.ids.length === 0
        ? 'no token'
        : example.targets.includes(1) || packing
          ? null
          : noTarget(targets, maxLength, options.responses)
    if (why) unused.push(`${where}: ${why}`)
    else for (const one of packs?.add(example) ?? [example]) keep(one)
  }
  for (const one of packs?.end() ?? []) keep(one)
  if (!teaching) {
    const why = unused.length > 0 ? ` For one, ${unused[0]}.` : ''
    const marks = options.responses
      ? say`${option('instructionPart')} and ${option('responsePart')}, which must stand in the rows token by token${asWritten(options.responses)}`
      : say`what is a target (${option('completionOnlyLoss')}, ${option('assistantOnlyLoss')})`
    throw new SaqrError(
      'DATA_NO_TARGETS',
      say`${dataset.source}: no row has a token to learn.${why} Check the columns, ${option('maxLength')} and ${marks}.`,
    )
  }
  const form = formattingFunc ? formOfTexts(formatted, tokenizer) : promptFormOf(shape, dataset.rows, settings.textField, tokenizer)
  // what isn't cut before it is packed is taken apart
  const limit = packing && (options.packingStrategy ?? 'bfd') !== 'bfd' ? null : maxLength
  return { examples: store.list(), shape, lengths, limit, unused, form, notes, warnings }
}

/** What a user's function throws is told with the row it was given. */
function format(formattingFunc: (row: Row) => string, row: Row, where: string, formatted: string[]): string {
  let text: unknown
  try {
    text = formattingFunc(row)
  } catch (cause) {
    throw new SaqrError(
      'DATA_FUNCTION',
      say`${where}: ${option('formattingFunc')} failed: ${cause instanceof Error ? cause.message : shown(cause)}`,
      { cause },
    )
  }
  if (typeof text !== 'string')
    throw new SaqrError(
      'DATA_FUNCTION',
      say`${where}: ${option('formattingFunc')} is given one row and must return its text, not ${shown(text)}; a function of many rows goes into map(…, { batched: true })`,
    )
  formatted.push(text)
  return text
}

function requireConsistent(dataset: Dataset, shape: Shape, options: PrepareOptions): void {
  const invalid = (message: Message) => new SaqrError('OPTION_INVALID', message)
  if (options.packing && !options.maxLength)
    throw invalid(say`${option('packing')} needs ${option('maxLength')}, the tokens of a packed example.`)
  if (options.maxLength !== undefined && options.maxLength !== null && !(options.maxLength >= 1))
    throw invalid(say`${option('maxLength')} must be at least 1, it is ${options.maxLength}.`)
  if (options.formattingFunc && options.completionOnlyLoss) {
    throw invalid(
      say`${option('formattingFunc')} makes one text of a row, which has no completion: set ${option('completionOnlyLoss')} to false.`,
    )
  }
  const other = options.assistantOnlyLoss ? 'assistantOnlyLoss' : options.completionOnlyLoss ? 'completionOnlyLoss' : null
  if (options.responses && other !== null)
    throw invalid(say`${option('responsePart')} and ${option(other)} each say what is learned: keep one of them`)
  if (!options.assistantOnlyLoss) return
  const chats =
    shape === 'messages' || shape === 'conversations' || (shape === 'prompt-completion' && Array.isArray(dataset.rows[0]!.prompt))
  if (!chats) throw invalid(say`${option('assistantOnlyLoss')} needs conversations; ${dataset.source} holds ${shapeNames[shape]}.`)
}

function cut(example: Example, maxLength: number | null, { truncationMode = 'keep_start' }: PrepareOptions): Example {
  if (truncationMode !== 'keep_start' && truncationMode !== 'keep_end') {
    throw new SaqrError('OPTION_INVALID', say`${option('truncationMode')} ${truncationMode} is neither keep_start nor keep_end.`)
  }
  const { ids, targets } = example
  if (maxLength === null || ids.length <= maxLength) return example
  const from = truncationMode === 'keep_start' ? 0 : ids.length - maxLength
  return { ...example, ids: ids.slice(from, from + maxLength), targets: targets.slice(from, from + maxLength) }
}

/** a text that the chat template wrote has the token already */
function beginsTwice(ids: ArrayLike<number>, { bosId }: Tokenizer): boolean {
  return bosId !== null && ids[0] === bosId && ids[1] === bosId
}

function noTarget(before: Uint8Array, maxLength: number | null, responses: ResponseParts | null | undefined): string {
  if (before.includes(1)) return `no target is left of its ${before.length} tokens after cutting to ${maxLength}`
  return responses ? `no answer follows ${JSON.stringify(responses.responsePart)}` : 'no token is a target'
}

/** A shell hands over a backslash and an n as they are. */
function asWritten({ instructionPart, responsePart }: ResponseParts): string {
  return /\\[nt]/.test(instructionPart + responsePart) ? "; a backslash and an n are no line break: $'…\\n' is one in a shell" : ''
}

/** the first token of a sequence is predicted from nothing */
export function teaches({ targets, starts = Int32Array.of(0) }: Example): boolean {
  return targets.some((target, i) => target === 1 && !starts.includes(i))
}
