/** `map` and `filter` of `datasets`, row by row or in batches, and columns taken away. */
import { SaqrError } from '../error.ts'
import { type Check, type Checks, flag, idle, orNull, shown, takeOptions, whole } from '../hub/arguments.ts'
import type { Dataset } from './dataset.ts'
import { columnList } from './dataset-arguments.ts'
import type { Row } from './rows.ts'

/** Options of Dataset.map. */
export interface MapOptions {
  /** the function takes and returns lists by column */
  batched?: boolean
  /** rows of a batch; default 1000 */
  batchSize?: number | null
  /** columns of the rows that are left out of the result, unless the function returns them */
  removeColumns?: string | readonly string[] | null
  /** accepted: rows are in memory, one process goes through them */
  numProc?: number | null
  /** accepted: the number of the row (the numbers of the batch) is always the second argument */
  withIndices?: boolean
  /** accepted: nothing is printed */
  desc?: string | null
}

/** Options of Dataset.filter. */
export interface FilterOptions {
  /** accepted: rows are in memory, one process goes through them */
  numProc?: number | null
  /** accepted: the number of the row is always the second argument */
  withIndices?: boolean
  /** accepted: nothing is printed */
  desc?: string | null
}

export type RowMap = (first: never, second: never) => Record<string, unknown> | null | undefined
export type RowFilter = (row: Row, index: number) => boolean

const names: Check<string | readonly string[]> = { what: 'a column or a list of columns', take: (v) => v as string }
const FILTER: Checks<FilterOptions> = { numProc: idle, withIndices: idle, desc: idle }
const MAP: Checks<MapOptions> = { ...FILTER, batched: flag, batchSize: orNull(whole(1)), removeColumns: orNull(names) }

interface Mapped {
  rows: Row[]
  /** the row that each came from; of a batch with another number of rows its first */
  from: number[]
}

export function takeMap(dataset: Dataset, fn: RowMap, given: MapOptions | undefined): Mapped {
  const { batched = false, batchSize = 1000, removeColumns = null } = takeOptions<MapOptions>(given, 'map', MAP)
  const columns = dataset.columns
  const removed = new Set(removeColumns === null ? [] : columnList(removeColumns, columns, dataset.source))
  const stay = columns.filter((column) => !removed.has(column))
  if (batched) return inBatches(dataset, fn, batchSize ?? dataset.length, columns, stay)
  const rows = dataset.rows.map((row, i) => {
    const made = called(fn, row, i, dataset.where(i), 'map') ?? {}
    if (!isColumns(made)) throw wrong(dataset.where(i), 'map', `must return an object of columns, not ${shown(made)}`)
    return { ...without(row, removed), ...made }
  })
  return { rows, from: Array.from(rows.keys()) }
}

function inBatches(dataset: Dataset, fn: RowMap, size: number, columns: readonly string[], stay: readonly string[]): Mapped {
  const mapped: Mapped = { rows: [], from: [] }
  for (let at = 0; at < dataset.length; at += size) {
    const rows = dataset.rows.slice(at, at + size)
    const batch = Object.fromEntries(columns.map((column) => [column, rows.map((row) => row[column] ?? null)]))
    const numbers = rows.map((_, i) => at + i)
    const made = called(fn, batch, numbers, dataset.where(at), 'map') ?? {}
    const bad = isColumns(made) ? Object.entries(made).find(([, values]) => !Array.isArray(values)) : ['', made]
    if (bad) throw wrong(dataset.where(at), 'map', `must return a list for each column of a batch, not ${shown(bad[1])}`)
    const lists = { ...Object.fromEntries(stay.map((column) => [column, batch[column]!])), ...(made as Record<string, unknown[]>) }
    const lengths = new Set(Object.values(lists).map((list) => list.length))
    if (lengths.size > 1)
      throw wrong(
        dataset.where(at),
        'map',
        `returned columns of different lengths (${Object.entries(lists)
          .map(([column, list]) => `${column} ${list.length}`)
          .join(', ')}): name those that don't fit in removeColumns`,
      )
    const [length = 0] = lengths
    for (let i = 0; i < length; i++) {
      mapped.rows.push(Object.fromEntries(Object.entries(lists).map(([column, list]) => [column, list[i]])))
      mapped.from.push(length === rows.length ? at + i : at)
    }
  }
  return mapped
}

/** Rows with other columns: which, and what becomes of a row. */
export interface OtherColumns {
  columns: string[]
  of(row: Row): Row
}

export const wholeRow = {
  filter(dataset: Dataset, fn: RowFilter, given: FilterOptions | undefined): number[] {
    takeOptions<FilterOptions>(given, 'filter', FILTER)
    return Array.from(dataset.rows.keys()).filter((i) => {
      const kept: unknown = called(fn, dataset.rows[i]!, i, dataset.where(i), 'filter')
      if (kept instanceof Promise) throw wrong(dataset.where(i), 'filter', 'returns a promise: it must say true or false at once')
      return Boolean(kept)
    })
  },

  without(dataset: Dataset, columns: unknown): OtherColumns {
    const removed = new Set(columnList(columns, dataset.columns, dataset.source))
    return { columns: dataset.columns.filter((column) => !removed.has(column)), of: (row) => without(row, removed) }
  },

  only(dataset: Dataset, columns: unknown): OtherColumns {
    const kept = columnList(columns, dataset.columns, dataset.source)
    return { columns: kept, of: (row) => Object.fromEntries(kept.filter((c) => c in row).map((column) => [column, row[column]])) }
  },

  renamed(dataset: Dataset, from: unknown, to: unknown): OtherColumns {
    const { columns } = dataset
    const [old] = columnList(from, columns, dataset.source)
    if (typeof from !== 'string' || typeof to !== 'string' || to === '')
      throw new SaqrError('OPTION_INVALID', `renameColumn takes two names, not ${shown(from)} and ${shown(to)}`)
    if (columns.includes(to)) throw new SaqrError('DATA_COLUMNS', `${dataset.source} has a column ${to} already`)
    const renamed = (name: string) => (name === old ? to : name)
    return {
      columns: columns.map(renamed),
      of: (row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [renamed(name), value])),
    }
  },
}

function without(row: Row, removed: ReadonlySet<string>): Row {
  return removed.size === 0 ? row : Object.fromEntries(Object.entries(row).filter(([column]) => !removed.has(column)))
}

const isColumns = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Promise)

/** What a user's function throws is told with the row it was given. */
function called(fn: (a: never, b: never) => unknown, first: unknown, second: unknown, where: string, name: string): unknown {
  try {
    return fn(first as never, second as never)
  } catch (cause) {
    throw new SaqrError(
      'DATA_FUNCTION',
      `${where}: the function given to ${name} failed: ${cause instanceof Error ? cause.message : shown(cause)}`,
      {
        cause,
      },
    )
  }
}

const wrong = (where: string, name: string, why: string) => new SaqrError('DATA_FUNCTION', `${where}: the function given to ${name} ${why}`)
