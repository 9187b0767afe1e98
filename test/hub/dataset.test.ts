import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DatasetOptions, resolveDataset } from '../../src/hub/dataset.ts'
import { globMatcher } from '../../src/hub/glob.ts'
import { shortPath } from '../../src/hub/not-found.ts'
import { type FakeHub, startHub } from './server.ts'

const card = `---
license: mit
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: en/part-*.parquet
  - split: test
    path: ["en/held.parquet", "en/more/**"]
- config_name: ar
  data_files: "ar/*.jsonl"
---
# A data set`

let hub: FakeHub
let cacheDir: string

beforeAll(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), 'saqr-data-'))
  hub = await startHub({
    'owner/plain': {
      dataset: true,
      files: {
        'data/train-00000-of-00002.parquet': 'a',
        'data/train-00001-of-00002.parquet': 'b',
        'data/test-00000-of-00001.parquet': 'c',
      },
    },
    'owner/one': { dataset: true, files: { 'alpaca.json': '[]', 'script.py': 'no', '.gitattributes': '' } },
    'owner/card': {
      dataset: true,
      files: {
        'README.md': card,
        'en/part-1.parquet': '1',
        'en/part-0.parquet': '0',
        'en/held.parquet': 'h',
        'en/more/x/y.csv': 'y',
        'ar/a.jsonl': '{}',
      },
    },
    'owner/empty': { dataset: true, files: { 'a.txt': '' } },
  })
})

afterAll(async () => {
  await hub.close()
  rmSync(cacheDir, { recursive: true, force: true })
})

async function files(name: string, options: DatasetOptions = {}): Promise<string[]> {
  const found = await resolveDataset(name, { cacheDir, hubUrl: hub.url, offline: false, retryDelay: 1, ...options })
  return found.files.map((path) => relative(join(cacheDir, `datasets--${name.replace('/', '--')}`, 'snapshots', found.commit!), path))
}

test('splits by the names of files', async () => {
  expect(await files('owner/plain')).toEqual(['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'])
  expect(await files('owner/plain', { split: 'test' })).toEqual(['data/test-00000-of-00001.parquet'])
  expect(await files('owner/one')).toEqual(['alpaca.json'])
  await expect(files('owner/plain', { split: 'dev' })).rejects.toMatchObject({
    code: 'DATA_FILES',
    message: expect.stringContaining('train, test'),
  })
  await expect(files('owner/empty')).rejects.toMatchObject({ code: 'DATA_FILES' })
})

test('configurations and splits of the card', async () => {
  expect(await files('owner/card')).toEqual(['en/part-0.parquet', 'en/part-1.parquet'])
  expect(await files('owner/card', { split: 'test' })).toEqual(['en/held.parquet', 'en/more/x/y.csv'])
  expect(await files('owner/card', { config: 'ar' })).toEqual(['ar/a.jsonl'])
  await expect(files('owner/card', { config: 'fr' })).rejects.toMatchObject({ message: expect.stringContaining('en, ar') })
})

test('local files and folders', async () => {
  const folder = join(cacheDir, 'mine')
  mkdirSync(join(folder, 'train'), { recursive: true })
  writeFileSync(join(folder, 'train', 'a.jsonl'), '{}')
  writeFileSync(join(folder, 'test.jsonl'), '{}')
  expect((await resolveDataset(folder)).files).toEqual([join(folder, 'train', 'a.jsonl')])
  expect((await resolveDataset(join(folder, 'test.jsonl'))).files).toEqual([join(folder, 'test.jsonl')])
  expect(readFileSync((await resolveDataset('owner/one', { cacheDir, hubUrl: hub.url, offline: false })).files[0]!, 'utf8')).toBe('[]')
})

test('a path by its looks is never taken for a name on the Hub', async () => {
  const folder = join(cacheDir, 'paths')
  mkdirSync(folder)
  writeFileSync(join(folder, 'rows.jsonl'), '{}')
  mkdirSync(join(folder, 'held'))
  hub.requests.length = 0
  const told = (name: string) =>
    resolveDataset(name, { cacheDir, hubUrl: hub.url, offline: false }).then(
      () => 'found',
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    )
  for (const name of ['x.jsonl', 'rows/x.json', 'owner/x.CSV', './x', '../x', '~/no such x', '/nowhere/x', 'a/b/c', 'rows.txt'])
    expect(await told(name), name).toMatch(/^FORMAT_NOT_FOUND \S.* does not exist: there is no .* in \/.*\./)
  expect(hub.requests).toEqual([])
  const missing = (name: string) => `FORMAT_NOT_FOUND ${join(folder, name)} does not exist: there is no`
  expect(await told(join(folder, 'row.jsonl'))).toBe(
    `${missing('row.jsonl')} row.jsonl in ${folder}. Did you mean ${join(folder, 'rows.jsonl')}?`,
  )
  expect(await told(join(folder, 'rows.csv'))).toMatch(/Did you mean .*rows\.jsonl\?$/)
  expect(await told(join(folder, 'x.jsonl'))).toBe(`${missing('x.jsonl')} x.jsonl in ${folder}.`)
  expect(await told(join(folder, 'hled', 'x.jsonl'))).toBe(
    `${missing('hled/x.jsonl')} folder hled in ${folder}. Did you mean ${join(folder, 'held')}?`,
  )
})

test('a folder without rows is told what it holds', async () => {
  const folder = join(cacheDir, 'none')
  mkdirSync(folder)
  await expect(resolveDataset(folder)).rejects.toThrow(/no \.parquet, .* or \.tsv file; it is empty\./)
  writeFileSync(join(folder, 'notes.txt'), '')
  await expect(resolveDataset(folder)).rejects.toThrow(/it holds notes\.txt\./)
})

test('paths are shown as seen from the working folder where they lie below it', () => {
  expect(shortPath(join(process.cwd(), 'assets', 'rows.jsonl'))).toBe(join('assets', 'rows.jsonl'))
  expect(shortPath(join(process.cwd(), '..', 'rows.jsonl'))).toBe(join(process.cwd(), '..', 'rows.jsonl'))
})

test('patterns', () => {
  expect(globMatcher('a/*.csv')('a/b.csv')).toBe(true)
  expect(globMatcher('a/*.csv')('a/b/c.csv')).toBe(false)
  expect(globMatcher('**/*.csv')('c.csv')).toBe(true)
  expect(globMatcher('./x-[0-9]?.csv')('x-12.csv')).toBe(true)
  expect(globMatcher('x(1)+.csv')('x(1)+.csv')).toBe(true)
  expect(globMatcher('x.csv')('xacsv')).toBe(false)
})
