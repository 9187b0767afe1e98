/** Holds files of rows against what datasets, pandas and pyarrow make of them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openParquet } from '../../src/data/parquet-on-disk.ts'
import { parseCsv } from '../../src/data/read-csv.ts'
import { readParquet } from '../../src/data/read-parquet.ts'
import { parseSplit, sliceBounds } from '../../src/data/split.ts'
import { SaqrError } from '../../src/error.ts'
import { ChatTemplate } from '../../src/text/chat-template.ts'

const json = <T>(folder: string, name: string): T => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T

/** null where it is refused by name */
function unlessRefused<T>(make: () => T): T | null {
  try {
    return make()
  } catch (error) {
    if (error instanceof SaqrError) return null
    throw error
  }
}

export function splitDifferences(folder: string): object[] {
  const cases = json<{ spec: string; rows: number; parts: [string, number, number][] | null }[]>(folder, 'splits.json')
  return cases.flatMap(({ spec, rows, parts }) => {
    const rowsOf = (split: string) => (split === 'test' ? rows + 3 : rows)
    const made = unlessRefused(() => parseSplit(spec).map((slice) => [slice.split, ...sliceBounds(slice, rowsOf(slice.split))]))
    return JSON.stringify(made) === JSON.stringify(parts) ? [] : [{ spec, rows, parts, made }]
  })
}

export function csvDifferences(folder: string): object[] {
  const cases = json<{ text: string; rows: string[][] | null; columns?: string[] }[]>(folder, 'csv.json')
  return cases.flatMap(({ text, rows, columns }) => {
    const made = unlessRefused(() => parseCsv(text, 'rows.csv', ',').rows)
    // a cell that a line lacks is empty to pandas here, and null to us
    const cells = made?.map((row) => Object.values(row).map((cell) => cell ?? '')) ?? null
    const same = JSON.stringify(cells) === JSON.stringify(rows) && (!made?.length || Object.keys(made[0]!).join() === columns!.join())
    return same ? [] : [{ text, rows, columns, made }]
  })
}

/** [ours, Python's] JSON of the rows in numbers.parquet */
export async function parquetNumbers(folder: string): Promise<[string[], string[]]> {
  const template = new ChatTemplate('{{ messages[0].row | tojson }}')
  const { rows } = await readParquet(join(folder, 'numbers.parquet'))
  return [rows.map((row) => template.render([{ role: 'user', row }], {}).text), json<string[]>(folder, 'numbers.json')]
}

/** files of small.json whose rows are others than pyarrow's, in memory or on disk */
export async function smallDifferences(folder: string, scratch: string): Promise<object[]> {
  const cases = json<{ name: string; bytes: string; rows: object[] }[]>(folder, 'small.json')
  const wrong: object[] = []
  for (const { name, bytes, rows } of cases) {
    const path = join(scratch, 'small.parquet')
    writeFileSync(path, Buffer.from(bytes, 'base64'))
    for (const read of [readParquet, openParquet]) {
      const made = await read(path).then(({ rows }) => [...rows], String)
      if (JSON.stringify(made) !== JSON.stringify(rows)) wrong.push({ name, read: read.name, rows, made })
    }
  }
  return wrong
}
