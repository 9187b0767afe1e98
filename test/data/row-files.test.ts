import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readRows } from '../../src/data/files.ts'
import { csvDifferences, parquetNumbers, splitDifferences } from './row-files.ts'

/** recorded by tools/oracle/row_files.py */
const folder = join(import.meta.dirname, '../fixtures/row-files')

test('slices of splits take the rows that datasets takes, or are refused where it refuses', () => {
  expect(splitDifferences(folder)).toEqual([])
})

test('CSV cells are those of pandas: quotes within a cell, lines of white space, equal names, lines too long', () => {
  expect(csvDifferences(folder)).toEqual([])
})

test.each(JSON.parse(readFileSync(join(folder, 'lines.json'), 'utf8')) as { text: string; rows: object[] | null }[])(
  'lines of $text',
  async ({ text, rows }) => {
    const scratch = mkdtempSync(join(tmpdir(), 'saqr-lines-'))
    try {
      for (const name of ['rows.jsonl', 'rows.json']) {
        writeFileSync(join(scratch, name), text)
        const read = readRows(join(scratch, name))
        if (rows) expect((await read).rows, name).toEqual(rows)
        else await expect(read, name).rejects.toThrow(/line \d+, column \d+ is not valid JSON/)
      }
    } finally {
      rmSync(scratch, { recursive: true })
    }
  },
)

test('Parquet in LZ4 with pages of nulls alone', async () => {
  const { rows } = await readRows(join(folder, 'lz4.parquet'))
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: null },
  ]
  expect(rows).toMatchObject([
    { messages, n: null },
    { messages: [], n: null },
  ])
})

test('Parquet with two columns of one name is refused by it', async () => {
  await expect(readRows(join(folder, 'twice.parquet'))).rejects.toThrow(/twice\.parquet has two columns named "text"/)
})

test('numbers and texts of Parquet reach a template as they stand in the file', async () => {
  const [made, right] = await parquetNumbers(folder)
  expect(made).toEqual(right)
})
