/** Rows and where they came from. */
import { type Row, readRows } from './files.ts'
import { type Recognised, recognise } from './shape.ts'

export class Dataset {
  /** file or name */
  readonly source: string
  readonly rows: readonly Row[]
  readonly #unit: string
  readonly #numbers: readonly number[] | undefined

  constructor(rows: readonly Row[], source = 'rows', { unit = 'row', numbers }: { unit?: string; numbers?: readonly number[] } = {}) {
    this.source = source
    this.rows = rows
    this.#unit = unit
    this.#numbers = numbers
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
    return `${this.source}, ${this.#unit} ${this.numberOf(index)}`
  }

  /** @throws SaqrError DATA_COLUMNS */
  recognise(textField?: string): Recognised {
    return recognise(this.columns, this.source, textField)
  }

  /** rows [from, to) as a data set of their own, their numbers kept */
  slice(from: number, to = this.length): Dataset {
    const rows = this.rows.slice(from, to)
    return new Dataset(rows, this.source, { unit: this.#unit, numbers: rows.map((_, i) => this.numberOf(from + i)) })
  }
}

/**
 * Reads a .json, .jsonl, .csv or .parquet file.
 * @throws SaqrError DATA_FORMAT, DATA_ROW, FORMAT_…: the file and the row that can't be read
 */
export async function loadDataset(path: string): Promise<Dataset> {
  const { rows, ...place } = await readRows(path)
  return new Dataset(rows, path, place)
}
