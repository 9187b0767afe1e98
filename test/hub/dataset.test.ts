import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type DatasetOptions, resolveDataset } from '../../src/hub/dataset.ts'
import { globMatcher } from '../../src/hub/glob.ts'
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

test('patterns', () => {
  expect(globMatcher('a/*.csv')('a/b.csv')).toBe(true)
  expect(globMatcher('a/*.csv')('a/b/c.csv')).toBe(false)
  expect(globMatcher('**/*.csv')('c.csv')).toBe(true)
  expect(globMatcher('./x-[0-9]?.csv')('x-12.csv')).toBe(true)
  expect(globMatcher('x(1)+.csv')('x(1)+.csv')).toBe(true)
  expect(globMatcher('x.csv')('xacsv')).toBe(false)
})
