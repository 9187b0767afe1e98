/**
 * The rows of a data set made one after the other, or side by side by several threads and given in their order: the same rows, and the first error
 * is the same one, whatever their number. Where few are left to make, threads would cost more than they give, and none is started.
 */
import type { Tokenizer } from '../text/tokenizer.ts'
import { breathe } from './breathe.ts'
import { carried } from './carried-row.ts'
import { RowThreads, type ThreadStart } from './row-threads.ts'
import { type MadeOf, makerOf, type RowMaker, type RowWork } from './row-work.ts'
import type { Row } from './rows.ts'

export interface RowsRequest<W extends RowWork> {
  length: number
  /** Row `i`, looked at. Asked in order. @throws SaqrError for one that can't be made */
  given(i: number): Given
  work: W
  tokenizer: Tokenizer
  /** at the most, this one counted */
  threads: number
  /** they start with the first row; default: once what is left is worth it */
  atOnce?: boolean | undefined
  signal: AbortSignal | undefined
  /** every 30 ms or so: how many are done */
  onProgress(done: number): void
  /** a thread ended by itself: its rows are made by the others */
  onFailure(why: string): void
}

export interface Given {
  row: Row
  /** what is made of it, where that is not the row itself */
  of?: Row
  where: string
}

export interface MadeRow<T> extends Given {
  i: number
  made: T
}

/** milliseconds before what is left is estimated */
const LOOK = 250
/**
 * Milliseconds from which on threads are worth while, and how many more a token of the vocabulary asks for. Llama 3.1's tokenizer (128k tokens) takes a
 * second of a processor to make; in all, a second thread takes 2 to 2.5 s of it beyond the 6 s of 52,002 rows (bench/results/rows.txt).
 */
const LEAST = 500
const LEAST_OF_TOKEN = 0.025

export async function* rowsMade<W extends RowWork>(request: RowsRequest<W>): AsyncGenerator<MadeRow<MadeOf[W['kind']]>> {
  const { length, given, work, tokenizer, threads, signal, onProgress } = request
  const make = makerOf(work, tokenizer)
  if (threads > 1 && request.atOnce) return yield* sideBySide(request, 0, make)
  const begun = performance.now()
  let breath = begun
  for (let i = 0; i < length; i++) {
    const one = given(i)
    yield { i, ...one, made: make(one.of ?? one.row, one.where) }
    const rested = await breathe(breath, signal)
    if (rested === breath) continue
    breath = rested
    onProgress(i + 1)
    const left = ((breath - begun) / (i + 1)) * (length - i - 1)
    if (threads > 1 && breath - begun > LOOK && left > LEAST + LEAST_OF_TOKEN * tokenizer.size)
      return yield* sideBySide(request, i + 1, make)
  }
}

/** rows and characters of a batch, the latter a little more at the most */
const ROWS = 64
const CHARACTERS = 1 << 16
/** a longer row is made by this thread alone, in its turn */
const LONGEST = 1 << 20
/** batches for each thread, and characters of them all, that may wait for those before them */
const WAITING = 16
const WAITING_CHARACTERS = 1 << 23

interface Batch<T> {
  rows: (Given & { i: number })[]
  /** as they go to a thread; null: made here */
  carried: (Row | string | null)[]
  characters: number
  made: readonly (T | null)[] | null
  /** what is wrong with the row behind these */
  error?: unknown
}

/** Several threads from the start. */
export async function* sideBySide<W extends RowWork, T extends MadeOf[W['kind']]>(
  { length, given, work, tokenizer, threads: count, signal, onProgress, onFailure }: RowsRequest<W>,
  from = 0,
  make = makerOf(work, tokenizer) as RowMaker<T>,
): AsyncGenerator<MadeRow<T>> {
  const threads = new RowThreads<T>(count - 1, startOf(work, tokenizer), signal, onFailure)
  const waiting: Batch<T>[] = []
  let next = from
  let characters = 0
  const take = () => {
    const batch = batchOf<T>(next, length, given)
    next = 'error' in batch ? length : next + batch.rows.length
    characters += batch.characters
    waiting.push(batch)
    return batch
  }
  const mayTake = () => next < length && waiting.length < WAITING * count && characters < WAITING_CHARACTERS
  try {
    while (next < length || waiting.length > 0) {
      while (mayTake() && threads.hasRoom) {
        const batch = take()
        threads.make(
          batch.carried,
          batch.rows.map(({ where }) => where),
          (made) => {
            batch.made = made
          },
        )
      }
      const first = waiting[0]
      if (first?.made) {
        waiting.shift()
        characters -= first.characters
        for (const [at, row] of first.rows.entries()) yield { ...row, made: first.made[at] ?? make(row.of ?? row.row, row.where) }
        if ('error' in first) throw first.error
        onProgress(first.rows.at(-1)!.i + 1)
      } else if (mayTake()) {
        const batch = take()
        batch.made = batch.rows.map((row, at) => (batch.carried[at] === null ? null : tried(make, row)))
      } else await threads.news()
      // what threads say is heard between two turns
      await new Promise(setImmediate)
      signal?.throwIfAborted()
    }
  } finally {
    await threads.end()
  }
}

/** null: what is wrong is told in the row's turn */
function tried<T>(make: RowMaker<T>, { of, row, where }: Given): T | null {
  try {
    return make(of ?? row, where)
  } catch {
    return null
  }
}

function batchOf<T>(from: number, length: number, given: (i: number) => Given): Batch<T> {
  const batch: Batch<T> = { rows: [], carried: [], characters: 0, made: null }
  for (let i = from; i < length && batch.rows.length < ROWS && batch.characters < CHARACTERS; i++) {
    try {
      const one = given(i)
      const { as, characters } = carried(one.of ?? one.row) ?? { as: null, characters: CHARACTERS }
      batch.rows.push({ i, ...one })
      batch.carried.push(characters > LONGEST ? null : as)
      batch.characters += characters
    } catch (error) {
      return { ...batch, error }
    }
  }
  return batch
}

function startOf(work: RowWork, tokenizer: Tokenizer): ThreadStart {
  const { files, modelType, special } = tokenizer.recipe
  const now = work.kind === 'texts' ? work.settings.now : work.now
  return { work, files: JSON.stringify(files), modelType, special, fingerprint: tokenizer.fingerprint(now) }
}
