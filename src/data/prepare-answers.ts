/** Rows of a prompt and answers to it as examples of several sequences: tokenised, cut to `maxLength`, those whose prompt fills it left out. */
import { option, SaqrError, say } from '../error.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { bad, isMissing } from './cells.ts'
import type { Dataset } from './dataset.ts'
import type { Example } from './example.ts'
import { type AnsweredTokens, answeredTokens, type PreferenceShape } from './preference.ts'
import { breathe, handedOver, type Prepared } from './prepare.ts'
import { type PromptForm, promptFormOf } from './prompt-form.ts'
import { mediaColumns, unreadColumns } from './shape.ts'

export interface AnswerOptions {
  /** tokens of a sequence; null: as long as rows are */
  maxLength: number | null
  truncationMode: 'keep_start' | 'keep_end'
  /** the day that chat templates are told; default now */
  now?: Date
  /** what is made is handed over, once, to who prepares the same rows in the same way next */
  ahead?: boolean
  signal?: AbortSignal
}

/** token ids of a sequence, and how many of them are the prompt */
interface Cut {
  ids: number[]
  prompt: number
}

/** @throws SaqrError DATA_COLUMNS, DATA_ROW, TEXT_…; DATA_NO_TARGETS where no row teaches anything */
export function preparePairs(
  dataset: Dataset,
  tokenizer: Tokenizer,
  shapeOf: (dataset: Dataset) => PreferenceShape,
  options: AnswerOptions,
) {
  const { signal: _, ahead, ...settings } = options
  const key = ['pairs', shapeOf, tokenizer, JSON.stringify(Object.entries(settings).sort())]
  return handedOver(dataset, key, ahead, () => anew(dataset, tokenizer, shapeOf(dataset), options))
}

async function anew(dataset: Dataset, tokenizer: Tokenizer, shape: PreferenceShape, options: AnswerOptions): Promise<Prepared> {
  const { maxLength, signal, now = new Date() } = options
  const { warnings, others } = unreadColumns(shape.unused, dataset.source)
  const notes = [`${dataset.source}: ${dataset.length} rows of ${shape.name}${others.length > 0 ? `; not read: ${others.join(', ')}` : ''}`]
  const media = mediaColumns(shape.unused)
  const examples: Example[] = []
  const unused: string[] = []
  const alike: string[] = []
  const said = new Set<string>()
  const prompts: (string | object)[] = []
  let breath = performance.now()
  for (const [i, row] of dataset.rows.entries()) {
    const where = dataset.where(i)
    const seen = media.find((column) => !isMissing(row[column]) && String(row[column]) !== '')
    if (seen !== undefined) throw bad(where, `the column ${seen} holds what the model would see or hear, and only text is trained on`)
    const answered = shape.read(row, where)
    prompts.push(answered.prompt)
    const tokens = answeredTokens(answered, row, where, tokenizer, now)
    for (const note of notesOf(tokens)) {
      if (said.has(note)) continue
      said.add(note)
      notes.push(`${where}: ${note}`)
    }
    const { prompt, answers } = tokens
    if (maxLength !== null && options.truncationMode === 'keep_start' && prompt.length >= maxLength)
      unused.push(`${where}: its prompt alone, ${prompt.length} tokens, fills the limit of ${maxLength}`)
    else {
      const sequences = answers.map((answer) => cut(prompt, answer, options))
      const example = exampleOf(sequences, dataset.numberOf(i), dataset.source)
      if (sequences.every(({ ids }) => ids.join() === sequences[0]!.ids.join())) alike.push(where)
      examples.push(example)
    }
    breath = await breathe(breath, signal)
  }
  if (examples.length === 0 || alike.length === examples.length) throw nothing(dataset, unused, alike)
  if (alike.length > 0)
    warnings.push(
      `${alike.length === 1 ? '1 pair has' : `${alike.length} pairs have`} the same tokens chosen and rejected, so nothing is learned from ${alike.length === 1 ? 'it' : 'them'}: ${some(alike)}`,
    )
  return { examples, unused, form: formOf(prompts, tokenizer), notes, warnings }
}

function notesOf({ lost, notes }: AnsweredTokens): string[] {
  if (lost === undefined) return notes
  return [
    ...notes,
    `the end of the prompt, ${JSON.stringify(lost)}, has other tokens before an answer; such rows begin their answers where the tokens part`,
  ]
}

function cut(prompt: readonly number[], answer: readonly number[], { maxLength, truncationMode }: AnswerOptions): Cut {
  const ids = [...prompt, ...answer]
  if (maxLength === null || ids.length <= maxLength) return { ids, prompt: prompt.length }
  if (truncationMode === 'keep_start') return { ids: ids.slice(0, maxLength), prompt: Math.min(prompt.length, maxLength) }
  return { ids: ids.slice(-maxLength), prompt: Math.max(0, prompt.length - (ids.length - maxLength)) }
}

/** targets are the answers' tokens; the first token of a sequence is predicted from nothing */
export function exampleOf(sequences: readonly Cut[], row: number, source: string): Example {
  const starts = sequences.map((_, i) => sequences.slice(0, i).reduce((sum, { ids }) => sum + ids.length, 0))
  const ids = Int32Array.from(sequences.flatMap((sequence) => sequence.ids))
  const targets = Uint8Array.from(sequences.flatMap(({ ids, prompt }) => ids.map((_, i) => (i >= prompt ? 1 : 0))))
  return { ids, targets, row, source, starts: Int32Array.from(starts), prompts: sequences.map(({ prompt }) => prompt) }
}

function formOf(prompts: readonly (string | object)[], tokenizer: Tokenizer): PromptForm | null {
  return promptFormOf(
    'prompt-completion',
    prompts.map((prompt) => ({ prompt })),
    'text',
    tokenizer,
  )
}

const NAMED = 3
const some = (list: readonly string[]) =>
  `${list.slice(0, NAMED).join('; ')}${list.length > NAMED ? ` and ${list.length - NAMED} more` : ''}`

function nothing({ source, length }: Dataset, unused: readonly string[], alike: readonly string[]): SaqrError {
  if (length === 0) return new SaqrError('DATA_NO_TARGETS', `${source} has no rows. Give rows to train on.`)
  if (alike.length > 0)
    return new SaqrError(
      'DATA_NO_TARGETS',
      `${source}: chosen and rejected are the same in every row, so there is nothing to prefer: ${some(alike)}.`,
    )
  return new SaqrError('DATA_NO_TARGETS', say`${source}: no row is left. ${some(unused)}. Raise ${option('maxLength')}.`)
}
