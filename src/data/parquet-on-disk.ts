/**
 * Rows of a Parquet file that stay on disk. A file lies by columns, so its rows are written out as JSON first, a row group at a time, into a file
 * of nobody's. Dates are remembered beside it; bytes have no place in JSON, and are refused.
 */
import { closeSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { decodeUtf8, isObject, parseJson, stringifyJson } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import { breathe } from './breathe.ts'
import { lazyList } from './lazy-list.ts'
import { NamelessFile } from './nameless.ts'
import { parquetGroups } from './read-parquet.ts'
import { Records } from './records.ts'
import type { Row } from './rows.ts'
import type { RowsOnDisk } from './rows-on-disk.ts'
import { Spans } from './spans.ts'

/** @throws SaqrError DATA_FORMAT, FORMAT_…; OPTION_UNSUPPORTED for bytes, and for dates within a column */
export async function openParquet(path: string, signal?: AbortSignal): Promise<RowsOnDisk> {
  const file = new NamelessFile('unpacked')
  const spans = new Spans()
  const columns = new Set<string>()
  let breath = performance.now()
  try {
    for await (const group of parquetGroups(path)) {
      for (const row of group) {
        const from = file.length
        file.add(Buffer.from(written(row, `${path}, row ${spans.length + 1}`)))
        spans.add(from, file.length)
        for (const column of Object.keys(row)) columns.add(column)
        breath = await breathe(breath, signal)
      }
    }
    file.flush()
  } catch (error) {
    closeSync(file.fd)
    throw error
  }
  const records = new Records(file.fd, path, (i) => spans.at(i), true)
  return { rows: lazyList(spans.length, (i) => readBack(decodeUtf8(records.read(i), path), path)), unit: 'row', columns: [...columns] }
}

/** The row as JSON, behind the columns that are dates. */
function written(row: Row, where: string): string {
  const dates = Object.keys(row).filter((column) => row[column] instanceof Date)
  for (const [column, value] of Object.entries(row)) if (!dates.includes(column)) requireJson(value, column, where)
  const times = dates.map((column) => [column, (row[column] as Date).getTime()])
  const plain = dates.length === 0 ? row : withKeys(row, Object.fromEntries(dates.map((column) => [column, null])))
  return `${stringifyJson(times)}\n${stringifyJson(plain, { ascii: false })}`
}

function readBack(text: string, path: string): Row {
  const end = text.indexOf('\n')
  const times = parseJson(text.slice(0, end), path) as [string, number][]
  const row = parseJson(text.slice(end + 1), path, { exact: true }) as Record<string, unknown>
  for (const [column, time] of times) row[column] = new Date(time)
  return row
}

function requireJson(value: unknown, column: string, where: string): void {
  if (Array.isArray(value)) for (const item of value) requireJson(item, column, where)
  else if (value instanceof Date || ArrayBuffer.isView(value))
    throw new SaqrError(
      'OPTION_UNSUPPORTED',
      `${where}: the column ${column} holds ${value instanceof Date ? 'dates within others' : 'bytes'}, which don't stay on disk. Leave streaming out, or write the file without that column.`,
    )
  else if (isObject(value)) for (const item of Object.values(value)) requireJson(item, column, where)
}
