import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { readRows } from '../../src/data/files.ts'
import { csvDifferences, parquetNumbers, smallDifferences, splitDifferences } from './row-files.ts'

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

describe('Parquet files', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'saqr-parquet-'))
  afterAll(() => rmSync(scratch, { recursive: true }))
  const file = (bytes: Uint8Array) => {
    const path = join(scratch, 'odd.parquet')
    writeFileSync(path, bytes)
    return path
  }
  const small = JSON.parse(readFileSync(join(folder, 'small.json'), 'utf8')) as { name: string; bytes: string }[]
  const { bytes } = small.find(({ name }) => name === 'one none 1.0')!
  const whole = Buffer.from(bytes, 'base64')

  test('of no row, of one, of nulls alone, of a row a group, a value a page, in every codec', async () => {
    expect(await smallDifferences(folder, scratch)).toEqual([])
  })

  test.each([
    ['nothing but its mark', Buffer.from('PAR1'), /odd\.parquet can't be read as Parquet: it has 4 bytes alone\. Fetch it again/],
    ['a page that is missing', Buffer.concat([whole.subarray(0, 4), whole.subarray(30)]), /: its bytes are damaged\. Fetch it again/],
    ['its first half', whole.subarray(0, whole.length >> 1), /: parquet file invalid/],
  ])('of %s are refused', async (_, bytes, message) => {
    await expect(readRows(file(bytes))).rejects.toThrow(message)
  })

  test('whose texts are not UTF-8 are refused with the row', async () => {
    const damaged = Buffer.from(whole)
    const at = damaged.indexOf(Buffer.from([1, 0, 0, 0, 0x61])) // length and text of the only value
    damaged[at + 4] = 0xff
    await expect(readRows(file(damaged))).rejects.toThrow(/odd\.parquet, row 1: the text in text is not UTF-8\. Correct or remove the row/)
  })
})

test('Parquet with two columns of one name is refused by it', async () => {
  await expect(readRows(join(folder, 'twice.parquet'))).rejects.toThrow(/twice\.parquet has two columns named "text"/)
})

test('numbers and texts of Parquet reach a template as they stand in the file', async () => {
  const [made, right] = await parquetNumbers(folder)
  expect(made).toEqual(right)
})
