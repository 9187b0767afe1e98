/** Rows and where they came from. */
import { readRows } from './files.ts'
import type { Row } from './rows.ts'
import { type Recognised, recognise } from './shape.ts'

interface Places {
  /** what a row is called by number: row (default) or line */
  unit?: string
  /** numbers of the rows, where they are not 1, 2, 3 … */
  numbers?: readonly number[]
  /** file and number of each row, where the rows are of several files */
  places?: readonly string[]
}

export class Dataset {
  /** file or name */
  readonly source: string
  readonly rows: readonly Row[]
  readonly #unit: string
  readonly #numbers: readonly number[] | undefined
  /** of joined data sets: where each row stands */
  readonly #places: readonly string[] | undefined

  constructor(rows: readonly Row[], source = 'rows', { unit = 'row', numbers, places }: Places = {}) {
    this.source = source
    this.rows = rows
    this.#unit = unit
    this.#numbers = numbers
    this.#places = places
  }

  /** The rows of several data sets one after another, each called by its own file and number; one alone stays as it is. */
  static join(parts: readonly Dataset[], source: string): Dataset {
    if (parts.length === 1) return parts[0]!
    const places = parts.flatMap((part) => part.rows.map((_, i) => part.where(i)))
    return new Dataset(
      parts.flatMap((part) => part.rows),
      source,
      { places },
    )
  }

  get length(): number {
    return this.rows.length
  }

  /** every column that some row has, in order of appearance */
  get columns(): string[] {
    const columns = new Set<string>()
    for (const row of this.rows) for (const column of Object.keys(row)) columns.add(column)
    return [...columns]
  }

  /** number of the row in its file, from 1 */
  numberOf(index: number): number {
    return this.#numbers?.[index] ?? index + 1
  }

  /** "rows.jsonl, line 17" */
  where(index: number): string {
    return this.#places?.[index] ?? `${this.source}, ${this.#unit} ${this.numberOf(index)}`
  }

  /** @throws SaqrError DATA_COLUMNS */
  recognise(textField?: string): Recognised {
    return recognise(this.columns, this.source, textField)
  }

  /** rows [from, to) as a data set of their own, their numbers kept */
  slice(from: number, to = this.length): Dataset {
    const rows = this.rows.slice(from, to)
    const numbers = rows.map((_, i) => this.numberOf(from + i))
    return new Dataset(rows, this.source, { unit: this.#unit, numbers, places: this.#places?.slice(from, to) })
  }
}

/**
 * Reads a .json, .jsonl, .csv, .tsv or .parquet file; but for Parquet, gzipped (.gz) ones too.
 * @throws SaqrError DATA_FORMAT, DATA_ROW, FORMAT_…: the file and the row that can't be read
 */
export async function loadDataset(path: string): Promise<Dataset> {
  const { rows, ...place } = await readRows(path)
  return new Dataset(rows, path, place)
}
