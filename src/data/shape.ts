/**
 * What the columns of a data set say its rows are. TRL's shapes come first, in TRL's order of precedence; Alpaca and ShareGPT, which TRL
 * leaves to the user, after them.
 */
import { option, SaqrError, say } from '../error.ts'
import { distance } from '../hub/nearest.ts'
import { MARK_NAMES } from './marks.ts'

export type Shape = 'tokens' | 'prompt-completion' | 'messages' | 'conversations' | 'text' | 'alpaca'

interface Known {
  shape: Shape
  needs: (textField: string) => string[]
  may: string[]
}

const known: readonly Known[] = [
  {
    shape: 'tokens',
    needs: () => ['input_ids'],
    may: ['labels', 'completion_mask', 'assistant_masks', 'attention_mask', 'position_ids', 'seq_lengths'],
  },
  { shape: 'prompt-completion', needs: () => ['prompt', 'completion'], may: ['tools', 'chat_template_kwargs'] },
  { shape: 'messages', needs: () => ['messages'], may: ['tools', 'chat_template_kwargs'] },
  { shape: 'conversations', needs: () => ['conversations'], may: ['tools', 'chat_template_kwargs', 'system'] },
  { shape: 'text', needs: (textField) => [textField], may: [] },
  { shape: 'alpaca', needs: () => ['instruction', 'output'], may: ['input'] },
]

export interface Recognised {
  shape: Shape
  /** columns that are not read */
  unused: string[]
}

const shapeOf = (columns: readonly string[], textField: string) =>
  known.find(({ needs }) => needs(textField).every((column) => columns.includes(column)))

/** These columns are a row to train on. */
export const isRow = (columns: readonly string[]): boolean => shapeOf(columns, 'text') !== undefined

/** The shape of a row that lacks columns of its data set's shape and is one of another; null: it is of that shape, or of none. */
export function strayShape(row: Readonly<Record<string, unknown>>, shape: Shape, textField: string): Shape | null {
  const lacks = (column: string) => row[column] === undefined || row[column] === null
  if (
    !known
      .find((one) => one.shape === shape)!
      .needs(textField)
      .some(lacks)
  )
    return null
  return (
    shapeOf(
      Object.keys(row).filter((column) => !lacks(column)),
      textField,
    )?.shape ?? null
  )
}

/** @throws SaqrError DATA_COLUMNS */
export function recognise(columns: readonly string[], source: string, textField = 'text'): Recognised {
  if (columns.includes('chosen') && columns.includes('rejected')) {
    throw new SaqrError(
      'DATA_COLUMNS',
      `${source} holds preferences (chosen, rejected), which supervised fine-tuning does not take: train on them with saqr dpo, orpo or cpo (DPOTrainer, ORPOTrainer, CPOTrainer), or use rows of text, messages or prompt and completion.`,
    )
  }
  const found = shapeOf(columns, textField)
  if (!found) {
    const close = nearly(columns, textField).map(([there, meant]) => `is ${there} ${meant}?`)
    const understood = known.map(({ needs }) => needs(textField).join(' + ')).join('; ')
    throw new SaqrError(
      'DATA_COLUMNS',
      say`${source} has the columns ${columns.join(', ') || '(none)'}, which are not rows to train on${close.length > 0 ? `: ${close.join(' ')}` : '.'} Understood are ${understood}. Rename them, or name the column of whole texts (${option('datasetTextField')}).`,
    )
  }
  const read = [...found.needs(textField), ...found.may]
  return { shape: found.shape, unused: columns.filter((column) => !read.includes(column)) }
}

/** Columns that nearly have the names that rows of a shape need, each with that name; none where no shape's are all there. Nobody mistypes token ids. */
function nearly(columns: readonly string[], textField: string): [there: string, meant: string][] {
  for (const needs of [...known.filter(({ shape }) => shape !== 'tokens').map((one) => one.needs(textField)), ['chosen', 'rejected']]) {
    const missing = needs.filter((name) => !columns.includes(name))
    const close = missing.map((name): [string | undefined, string] => [columns.find((column) => isSlip(column, name)), name])
    if (close.every((one): one is [string, string] => one[0] !== undefined)) return close
  }
  return []
}

/** Stricter than `nearest`: columns are named by other people for other ends, and a letter of four makes another word (ext, test: text). */
const isSlip = (column: string, name: string) =>
  column.length <= 2 * name.length && distance(column.toLowerCase(), name.toLowerCase()) <= Math.floor(name.length / 5)

const JUDGED = 'says how good an answer is, and every answer counts alike here'
const TEXT = 'holds what the model would be told, and rows of this shape are trained on without it'
const MASK = 'says what of a row is learned, which the options and the messages say here'
const MEDIA = 'holds what the model would see or hear, and only text is trained on'

/** Columns that would change what is learned, by what is lost where a shape doesn't read them. Others (ids, sources) are notes of their makers. */
const TELLING: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['mask', 'loss_mask', 'assistant_masks', 'completion_mask', ...MARK_NAMES].map((name) => [name, MASK])),
  ...Object.fromEntries(
    [
      'label',
      'labels',
      'kto_tag',
      'chosen',
      'rejected',
      'score',
      'scores',
      'reward',
      'rewards',
      'rating',
      'margin',
      'weight',
      'weights',
    ].map((name) => [name, JUDGED]),
  ),
  ...Object.fromEntries(['system', 'history', 'tools', 'functions', 'chat_template_kwargs'].map((name) => [name, TEXT])),
  ...Object.fromEntries(['image', 'images', 'video', 'videos', 'audio', 'audios'].map((name) => [name, MEDIA])),
}

/** Columns that are not read: a warning for each that would change what is learned, and the others. */
export function unreadColumns(unused: readonly string[], source: string): { warnings: string[]; others: string[] } {
  const telling = unused.filter((column) => Object.hasOwn(TELLING, column))
  return {
    warnings: telling.map((column) => `${source}: the column ${column} is not read: it ${TELLING[column]}`),
    others: unused.filter((column) => !telling.includes(column)),
  }
}

/** Columns of what a model would see or hear. */
export const mediaColumns = (columns: readonly string[]): string[] => columns.filter((column) => TELLING[column] === MEDIA)

/** what a person reads */
export const shapeNames: Record<Shape, string> = {
  tokens: 'token ids',
  'prompt-completion': 'prompt and completion',
  messages: 'messages',
  conversations: 'conversations (ShareGPT)',
  text: 'text',
  alpaca: 'instruction, input and output (Alpaca)',
}
