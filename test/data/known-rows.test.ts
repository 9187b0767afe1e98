/** Files whose rows were prepared before: they are not parsed again until somebody asks for a row, and are the same rows then. */
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Dataset } from '../../src/data/dataset.ts'
import { loadDataset, loadRows } from '../../src/data/load.ts'
import { prepare } from '../../src/data/prepare.ts'
import { tokenizerOf } from '../text/fixtures.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'saqr-known-'))
  vi.stubEnv('HF_HOME', home)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(home, { recursive: true })
})

const tokenizer = tokenizerOf('smollm-like')
const rows = Array.from({ length: 300 }, (_, i) => ({ text: `${i}: ${'the cat sat on the mat. '.repeat(160)}`, more: 20 }))
const file = (name: string, text: string) => {
  const path = join(home, name)
  writeFileSync(path, text)
  return path
}
const load = (path: string) => loadRows(path, { split: 'train', remembered: true })
const run = (dataset: Dataset) => prepare(dataset, tokenizer, { maxLength: 64, making: { cache: true } })
const isRead = (dataset: Dataset) => Object.getOwnPropertyDescriptor(dataset, 'rows')!.get === undefined

it.each([
  ['rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n\n')],
  ['rows.json', JSON.stringify(rows)],
  ['lines.json', rows.map((row) => JSON.stringify(row)).join('\r\n')],
  ['whole.jsonl', `\uFEFF${JSON.stringify(rows, null, 2)}`],
])('%s is parsed at the first start alone', async (name, text) => {
  const path = file(name, text)
  const first = await load(path)
  const prepared = await run(first)
  const second = await load(path)
  expect([isRead(first), isRead(second)]).toEqual([true, false])
  expect([second.length, second.columns, second.isStreamed]).toEqual([300, ['text', 'more'], false])
  const found = await run(second)
  expect(found.notes.at(-1)).toMatch(/prepared before, taken from/)
  expect({ ...found, notes: prepared.notes }).toEqual(prepared)
  // asked for, they are the rows that the file holds
  expect(second.where(299)).toBe(first.where(299))
  expect(second.rows).toEqual(first.rows)
  for (const of of [second.slice(290), second.selectColumns('text'), second.shuffle({ seed: 1 })])
    expect(of.where(3)).toMatch(/, (row|line) \d+$/)
  expect(second.slice(290).rows).toEqual(first.slice(290).rows)
  expect(second.slice(290).where(1)).toBe(first.slice(290).where(1))
})

it('is remembered where a program prepared the same rows before, and as long as they are', async () => {
  const path = file('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
  await run(await loadDataset(path))
  const kept = () => readdirSync(join(home, 'saqr', 'rows')).filter((name) => name.endsWith('.known'))
  expect(kept()).toEqual([])
  const found = await run(await load(path))
  expect(found.notes.at(-1)).toMatch(/prepared before, taken from/)
  expect(isRead(await load(path))).toBe(false)
  const [known] = kept().map((name) => join(home, 'saqr', 'rows', name))
  utimesSync(known!, 1, 1)
  await run(await load(path))
  expect(statSync(known!).mtimeMs).toBeGreaterThan(1_000_000)
})

it('another byte, another name or a program of its own: parsed', async () => {
  const text = rows.map((row) => JSON.stringify(row)).join('\n')
  const path = file('rows.jsonl', text)
  await run(await load(path))
  expect(isRead(await load(file('other.jsonl', text)))).toBe(true)
  // a program may change what it has read
  expect(isRead(await loadDataset(path))).toBe(true)
  const { mtime } = statSync(path)
  writeFileSync(path, text.replace('cat', 'dog'))
  utimesSync(path, mtime, mtime)
  const changed = await load(path)
  expect([isRead(changed), (changed.rows[0] as { text: string }).text.slice(0, 10)]).toEqual([true, '0: the dog'])
})

it('what is kept of a file and damaged is of no use: parsed', async () => {
  const path = file('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
  await run(await load(path))
  const folder = join(home, 'saqr', 'rows')
  const [known] = readdirSync(folder).filter((name) => name.endsWith('.known'))
  for (const damaged of ['', '{}', '[]', '{"rows": -1.5, "columns": [], "digest": "", "characters": 1}', 'null']) {
    writeFileSync(join(folder, known!), damaged)
    expect(isRead(await load(path))).toBe(true)
  }
})
