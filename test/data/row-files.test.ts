import { join } from 'node:path'
import { expect, test } from 'vitest'
import { csvDifferences, parquetNumbers, splitDifferences } from './row-files.ts'

/** recorded by tools/oracle/row_files.py */
const folder = join(import.meta.dirname, '../fixtures/row-files')

test('slices of splits take the rows that datasets takes, or are refused where it refuses', () => {
  expect(splitDifferences(folder)).toEqual([])
})

test('CSV cells are those of pandas: quotes within a cell, lines of white space, equal names, lines too long', () => {
  expect(csvDifferences(folder)).toEqual([])
})

test('numbers and texts of Parquet reach a template as they stand in the file', async () => {
  const [made, right] = await parquetNumbers(folder)
  expect(made).toEqual(right)
})
