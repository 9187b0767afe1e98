/** Files of rows that others' users reported, after those of fifth-reports.test.ts: bench/results/row-reports.txt has the list. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-sixth-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** the rows of files, one after another, in memory and on disk */
async function rowsOf(files: readonly (readonly object[])[]): Promise<object[]> {
  for (const [i, rows] of files.entries())
    writeFileSync(join(folder, `part-${i}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const dataFiles = files.map((_, i) => join(folder, `part-${i}.jsonl`))
  const [inMemory, onDisk] = await Promise.all([false, true].map((streaming) => loadDataset('json', { dataFiles, streaming })))
  const rows = [...inMemory!.rows]
  expect([...onDisk!.rows]).toEqual(rows)
  expect(onDisk!.columns.toSorted()).toEqual(inMemory!.columns.toSorted())
  return rows
}

it.each<[string, object[][]]>([
  [
    'huggingface/datasets#7159: objects that lack keys of others',
    [[{ m: [{ role: 'user', content: 'a' }] }, { m: [{ role: 'user', content: 'b', name: 'x' }] }]],
  ],
  [
    'huggingface/datasets#7222: a column of nothing in one file and of texts in the next',
    [[{ text: 'a', d: null }], [{ text: 'b', d: 'now' }]],
  ],
  [
    'huggingface/datasets#7092: lists that are empty in one file and of objects in the next',
    [[{ text: 'a', tools: [] }], [{ text: 'b', tools: [{ name: 'f' }] }]],
  ],
  [
    'huggingface/datasets#6845: a column that is a text here and a list there',
    [
      [
        { text: 'a', answer: 'x' },
        { text: 'b', answer: ['x', 'y'] },
      ],
    ],
  ],
  ['huggingface/datasets#5596: columns that the second file has alone', [[{ text: 'a' }], [{ text: 'b', labels: ['l'], at: 3 }]]],
])('%s: read as they are', async (_, files) => {
  expect(await rowsOf(files)).toEqual(files.flat())
})
