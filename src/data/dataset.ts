/** Rows and where they came from, and what Hugging Face's `datasets` does with them: every call gives a new data set and leaves this one as it is. */
import { SaqrError } from '../error.ts'
import { mapping, shown, take, text } from '../hub/arguments.ts'
import { count, index, indices, rowFunction, rowsOf, sourceName } from './dataset-arguments.ts'
import { type FilterOptions, type MapOptions, type OtherColumns, type RowFilter, type RowMap, takeMap, wholeRow } from './dataset-map.ts'
import { type SplitOptions, splitOrder, takeSeed, takeSplit } from './dataset-split.ts'
import type { Known } from './known-rows.ts'
import { isLazy, lazily, lazyList } from './lazy-list.ts'
import { rowsOfEach } from './mix.ts'
import type { Row, Rows } from './rows.ts'
import { type Recognised, recognise } from './shape.ts'
import { requireInMemory } from './streamed.ts'

/** how one is read */
export { loadDataset } from './load.ts'

interface Places {
  /** what a row is called by number: row (default) or line */
  unit?: string
  /** numbers of the rows, where they are not 1, 2, 3 … */
  numbers?: readonly number[]
  /** where each row stands, where file and number don't say it */
  places?: readonly string[]
  /** of rows that are read when they are asked for: all that some row has */
  columns?: readonly string[] | undefined
  /** the file that they are all rows of, by a hash */
  origin?: string
  /** they are read once one of them is asked for */
  known?: Known
}

/** Rows in an order, as `datasets` has them: nothing is changed in place, every call gives another data set. */
export class Dataset {
  /** file or name */
  readonly source: string
  /** the rows themselves; streamed ones are read when they are asked for */
  readonly rows: readonly Row[]
  #numbering: () => { unit: string; numbers?: readonly number[] | undefined }
  readonly #places: readonly string[] | undefined
  readonly #columns: readonly string[] | undefined
  readonly #origin: string | null
  readonly #known: Known | null

  /**
   * @param rows objects from column to value
   * @param source what messages call it
   * @throws SaqrError DATA_ROW for what is no list of rows
   */
  constructor(rows: readonly Row[], source = 'rows', where: Places = {}) {
    const { unit = 'row', numbers, places, columns, origin = null, known = null } = take(where, 'where', mapping) as Places
    this.source = take(source, 'source', sourceName)
    this.rows = isLazy(rows) ? rows : rowsOf(rows, source)
    this.#numbering = () => ({ unit, numbers })
    this.#places = places
    this.#columns = columns ?? known?.columns
    this.#origin = origin
    this.#known = known
    if (known) this.#readLater(known)
  }

  #readLater({ read }: Known): void {
    let there: Rows | undefined
    const rows = () => (there ??= read())
    Object.defineProperty(this, 'rows', { get: () => rows().rows, enumerable: true })
    this.#numbering = rows
  }

  /**
   * The file that these are all rows of, by a hash of its bytes and name; null: they are others, or of several.
   * @internal
   */
  get origin(): string | null {
    return this.#origin
  }

  /**
   * What is known of rows that may not have been read yet.
   * @internal
   */
  get known(): Omit<Known, 'read'> | null {
    return this.#known
  }

  /** The same as `new Dataset(rows)`, as `datasets` calls it. */
  static fromList(rows: readonly Row[]): Dataset {
    return new Dataset(rows)
  }

  /** Rows stay on disk, and are read when they are asked for (`streaming`). */
  get isStreamed(): boolean {
    return this.#known === null && isLazy(this.rows)
  }

  /** The rows of several data sets one after another, each called by its own file and number; one alone stays as it is. */
  static join(parts: readonly Dataset[], source = 'rows'): Dataset {
    if (!Array.isArray(parts) || !parts.every((part) => part instanceof Dataset))
      throw new SaqrError('OPTION_INVALID', `Dataset.join takes a list of data sets, not ${shown(parts)}`)
    if (parts.length === 1) return parts[0]!
    if (parts.some((part) => part.isStreamed)) return joinedOnDisk(parts, source)
    const places = parts.flatMap((part) => part.rows.map((_, i) => part.where(i)))
    return new Dataset(
      parts.flatMap((part) => part.rows),
      source,
      { places },
    )
  }

  /**
   * Several data sets in these shares (in any unit: 3 and 1 are ¾ and ¼), as TRL mixes them: the first rows of each, one after another, as many
   * as there can be without taking one twice.
   */
  static mix(parts: readonly Dataset[], shares: readonly number[]): Dataset {
    const joined = Dataset.join(parts) // looks at what is given
    if (!Array.isArray(shares) || !shares.every((share) => typeof share === 'number') || shares.length !== parts.length)
      throw new SaqrError('OPTION_INVALID', `Dataset.mix takes a share for each data set, ${parts.length} numbers, not ${shown(shares)}`)
    if (joined.length === 0) return joined
    const rows = rowsOfEach(
      parts.map(({ length }) => length),
      shares,
    )
    return Dataset.join(
      parts.map((part, i) => part.take(rows[i]!)),
      parts.map(({ source }) => source).join(' + '),
    )
  }

  /** number of rows */
  get length(): number {
    return this.#known?.rows ?? this.rows.length
  }

  /** the same, as `datasets` calls it */
  get numRows(): number {
    return this.length
  }

  /** every column that some row has, in order of appearance */
  get columns(): string[] {
    if (this.#columns) return [...this.#columns]
    const columns = new Set<string>()
    for (const row of this.rows) for (const column of Object.keys(row)) columns.add(column)
    return [...columns]
  }

  /** the same, as `datasets` calls it */
  get columnNames(): string[] {
    return this.columns
  }

  /** Row by row, in order. */
  [Symbol.iterator](): Iterator<Row> {
    return this.rows[Symbol.iterator]()
  }

  /** A row; negative numbers count from the end. */
  at(i: number): Row | undefined {
    return this.rows.at(take(i, 'i', index))
  }

  /** number of the row in its file, from 1 */
  numberOf(i: number): number {
    take(i, 'i', index)
    return this.#numbering().numbers?.[i] ?? i + 1
  }

  /** "rows.jsonl, line 17" */
  where(i: number): string {
    return this.#places?.[take(i, 'i', index)] ?? `${this.source}, ${this.#numbering().unit} ${this.numberOf(i)}`
  }

  /** @throws SaqrError DATA_COLUMNS */
  recognise(textField?: string): Recognised {
    return recognise(this.columns, this.source, textField === undefined ? undefined : take(textField, 'textField', text))
  }

  /** rows [from, to) as a data set of their own */
  slice(from: number, to = this.length): Dataset {
    take(from, 'from', index)
    take(to, 'to', index)
    const [first, end] = [from, to].map((i) => (i < 0 ? Math.max(0, this.length + i) : Math.min(i, this.length))) as [number, number]
    const count = Math.max(0, end - first)
    // of millions of rows on disk no list of their numbers is held
    return this.#pick(this.isStreamed ? lazyList(count, (i) => first + i) : Array.from({ length: count }, (_, i) => first + i))
  }

  /** The first n rows. */
  take(n: number): Dataset {
    return this.slice(0, take(n, 'n', count))
  }

  /** All but the first n rows. */
  skip(n: number): Dataset {
    return this.slice(take(n, 'n', count))
  }

  /** The rows of these numbers (from 0), in their order. @throws SaqrError OPTION_INVALID for a number that no row has */
  select(indices_: Iterable<number>): Dataset {
    return this.#pick(indices(indices_, this.length))
  }

  /**
   * What the function makes of each row: columns it returns are added or replaced, all others stay (but for `removeColumns`). Batched, it
   * takes and returns lists by column, and may return more rows or fewer.
   */
  map(
    fn: (batch: Record<string, unknown[]>, indices: number[]) => Record<string, readonly unknown[]> | null | undefined,
    options: MapOptions & { batched: true },
  ): Dataset
  map(fn: (row: Row, index: number) => Record<string, unknown> | null | undefined, options?: MapOptions): Dataset
  map(fn: RowMap, options?: MapOptions): Dataset {
    requireInMemory(this, 'mapped')
    const { rows, from } = takeMap(this, take(fn, 'map', rowFunction), options)
    const places = from.map((i) => this.where(i))
    const numbers = from.map((i) => this.numberOf(i))
    return new Dataset(rows, this.source, { unit: this.#numbering().unit, numbers, places })
  }

  /** The rows for which the function says so. */
  filter(fn: RowFilter, options?: FilterOptions): Dataset {
    requireInMemory(this, 'filtered')
    return this.#pick(wholeRow.filter(this, take(fn, 'filter', rowFunction), options))
  }

  /** In the order that `datasets` shuffles them into with this seed; default 42, so that it is always the same. */
  shuffle(options?: { seed?: number | null }): Dataset {
    return this.#pick(splitOrder(this.length, takeSeed(options)))
  }

  /** Two data sets, the rows in the order that `datasets` gives them with this seed (default 42). */
  trainTestSplit(options?: SplitOptions | number): { train: Dataset; test: Dataset } {
    const { train, test } = takeSplit(this.length, options)
    return { train: this.#pick(train), test: this.#pick(test) }
  }

  /** Without these columns. @throws SaqrError DATA_COLUMNS for one that no row has */
  removeColumns(columns: string | readonly string[]): Dataset {
    return this.#with(wholeRow.without(this, columns))
  }

  /** Only these columns. @throws SaqrError DATA_COLUMNS for one that no row has */
  selectColumns(columns: string | readonly string[]): Dataset {
    return this.#with(wholeRow.only(this, columns))
  }

  /** @throws SaqrError DATA_COLUMNS where there is no such column, or one of the new name already */
  renameColumn(from: string, to: string): Dataset {
    return this.#with(wholeRow.renamed(this, from, to))
  }

  #with({ columns, of }: OtherColumns): Dataset {
    const place = { ...this.#numbering(), places: this.#places }
    if (!this.isStreamed) return new Dataset(this.rows.map(of), this.source, place)
    return new Dataset(lazily(this.rows, of), this.source, { ...place, columns })
  }

  #pick(order: ArrayLike<number>): Dataset {
    const { unit } = this.#numbering()
    const of: <T>(make: (i: number) => T) => readonly T[] = this.isStreamed
      ? (make) => lazyList(order.length, (at) => make(order[at]!))
      : (make) => Array.from(order, make)
    const places = this.#places && of((i) => this.#places![i]!)
    const rows = of((i) => this.rows[i]!)
    const columns = this.isStreamed ? this.#columns : undefined
    return new Dataset(rows, this.source, { unit, numbers: of((i) => this.numberOf(i)), places, columns })
  }
}

/** Rows one after another without any of them in memory that isn't. */
function joinedOnDisk(parts: readonly Dataset[], source: string): Dataset {
  const begins = [0]
  for (const { length } of parts) begins.push(begins.at(-1)! + length)
  /** the part that row `i` is in, and its place there */
  const find = (i: number): [Dataset, number] => {
    const part = begins.findLastIndex((begin, p) => begin <= i && p < parts.length)
    return [parts[part]!, i - begins[part]!]
  }
  const of = <T>(read: (part: Dataset, i: number) => T) => lazyList(begins.at(-1)!, (i) => read(...find(i)))
  return new Dataset(
    of((part, i) => part.rows[i]!),
    source,
    { places: of((part, i) => part.where(i)), columns: [...new Set(parts.flatMap(({ columns }) => columns))] },
  )
}
