/** Rows that stay on disk are the rows that are in memory, whatever is done with them, in the memory of a few of them. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, createWriteStream, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import { lazyList } from '../../src/data/lazy-list.ts'
import { loadDataset } from '../../src/data/load.ts'
import { type PrepareOptions, prepare, type RowProgress } from '../../src/data/prepare.ts'
import { dpo } from '../../src/train/objectives/dpo.ts'
import { tokenizerOf } from '../text/fixtures.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-streaming-'))
afterAll(() => rmSync(work, { recursive: true }))
beforeEach(() => vi.stubEnv('HF_HOME', join(work, 'home')))
afterEach(() => {
  vi.unstubAllEnvs()
})

const tokenizer = tokenizerOf('smollm-like')
let files = 0
function file(content: string | Uint8Array, name = `rows-${files++}.jsonl`): string {
  const path = join(work, name)
  writeFileSync(path, content)
  return path
}
const lines = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join('')
const streamed = (path: string, more: object = {}) => loadDataset(path, { streaming: true, ...more })

it('a list made when it is asked for is an array to whoever reads', () => {
  const list = lazyList(5, (i) => i * i)
  expect([...list]).toEqual([0, 1, 4, 9, 16])
  expect([list.length, list[2], list[5], list.at(-1), 7 in list]).toEqual([5, 4, undefined, 16, false])
  expect(list.map((n, i) => n + i)).toEqual([0, 2, 6, 12, 20])
  expect([list.filter((n) => n % 2), list.slice(1, 3), [...list.entries()].at(-1), list.indexOf(9)]).toEqual([[1, 9], [1, 4], [4, 16], 3])
  expect([Int32Array.from(list), list.reduce((a, b) => a + b), Array.isArray(list), list.join()]).toEqual([
    Int32Array.of(0, 1, 4, 9, 16),
    30,
    true,
    '0,1,4,9,16',
  ])
  expect(() => Object.assign(list, { 0: 1 })).toThrow(TypeError)
})

describe('rows', () => {
  const odd = '\uFEFF{"text":"a","n":20.0}\r\n\n  \t\n{"text":"ü👍\u2028","m":[1]}\n{"text":"no line behind","2":1,"1":2}'

  it('are those in memory, called the same', async () => {
    const path = file(odd)
    const [ours, theirs] = [await streamed(path), await loadDataset(path)]
    expect([...ours.rows]).toEqual(theirs.rows)
    expect([ours.length, ours.columns, ours.isStreamed, theirs.isStreamed]).toEqual([3, theirs.columns, true, false])
    for (let i = 0; i < 3; i++) expect([ours.where(i), ours.numberOf(i)]).toEqual([theirs.where(i), theirs.numberOf(i)])
  })

  it('longer than what is read at once, and many', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => ({ text: `${i} ${'x'.repeat(i === 7 ? 5_000_000 : i % 900)}` }))
    const ours = await streamed(file(lines(rows)))
    expect(ours.rows.every((row, i) => row.text === rows[i]!.text)).toBe(true)
    for (const i of [2999, 0, 7, 8, 1500]) expect(ours.rows[i]).toEqual(rows[i])
  })

  it('are picked as those in memory', async () => {
    const path = file(lines(Array.from({ length: 50 }, (_, i) => ({ text: `${i}` }))))
    const all = [await streamed(path), await loadDataset(path)]
    const picks: ((d: Dataset) => Dataset)[] = [
      (d) => d.shuffle({ seed: 3 }).take(20).skip(2),
      (d) => d.select([4, 4, 1]),
      (d) => d.trainTestSplit({ testSize: 0.2 }).test,
    ]
    for (const pick of picks) {
      const [ours, theirs] = all.map(pick) as [Dataset, Dataset]
      expect([...ours.rows]).toEqual(theirs.rows)
      expect(ours.rows.map((_, i) => ours.where(i))).toEqual(theirs.rows.map((_, i) => theirs.where(i)))
      expect([ours.isStreamed, ours.columns]).toEqual([true, ['text']])
    }
    const sliced = await streamed(path, { split: 'train[10:12]' })
    expect([...sliced.rows]).toEqual([{ text: '10' }, { text: '11' }])
  })

  it.each<[string, string | Uint8Array, string, RegExp]>([
    ['no JSON', '{"text":"a"}\n{"text":\n', 'bad.jsonl', /bad\.jsonl, line 2/],
    ['no row', '{"text":"a"}\n\n[1]\n', 'list.jsonl', /list\.jsonl, line 3: a row must be an object/],
    ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'bytes.jsonl', /bytes\.jsonl, line 1/],
    ['a table', 'text\na\n', 'rows.csv', /rows\.csv can't be streamed: lines of a \.jsonl file can/],
  ])('%s is told with its place', async (_, content, name, message) => {
    await expect(streamed(file(content, name))).rejects.toThrow(message)
  })

  it('refuse by name what would bring them all into memory', async () => {
    const path = file(lines([{ prompt: 'a', chosen: 'b', rejected: 'c' }]))
    const rows = await streamed(path)
    for (const call of [
      () => rows.map((row) => row),
      () => rows.filter(() => true),
      () => rows.removeColumns('prompt'),
      () => rows.selectColumns('prompt'),
      () => rows.renameColumn('prompt', 'text'),
      () => Dataset.join([rows, rows]),
    ])
      expect(call).toThrow(/rows that are streamed can't be .*: leave streaming out/)
    const prepared = async () => dpo({} as never).prepare(rows, tokenizer, { maxLength: 9 } as never, { evaluation: false })
    await expect(prepared()).rejects.toThrow(/can't be trained on as preferences/)
  })

  it('of a file that is written to meanwhile are no rows', async () => {
    const path = file(lines(Array.from({ length: 4000 }, (_, i) => ({ text: `${i} ${'x'.repeat(500)}` }))))
    const rows = await streamed(path)
    await new Promise((done) => setTimeout(done, 20))
    appendFileSync(path, '{"text":"more"}\n')
    expect(() => rows.rows[2000]).toThrow(/was written to while its rows were read/)
  })
})

describe('prepared', () => {
  const texts = Array.from({ length: 2300 }, (_, i) => ({ text: `${i} ${'the cat sat on the mat '.repeat(i % 7)}` }))
  const chats = texts.slice(0, 40).map(({ text }) => ({ prompt: `${text}\n`, completion: `${text}!` }))

  it.each<[string, readonly object[], PrepareOptions]>([
    ['cut', texts, { maxLength: 32 }],
    ['prompt and completion', chats, {}],
    ['packed', texts, { maxLength: 64, packing: true }],
    ['packed and split', texts, { maxLength: 24, packing: true, packingStrategy: 'bfd_split' }],
    ['wrapped', texts, { maxLength: 50, packing: true, packingStrategy: 'wrapped' }],
    ['by a function', texts, { formattingFunc: ({ text }) => `: ${text}` }],
    ['with rows that teach nothing', [{ text: 'a' }, { text: 'b '.repeat(9) }], { maxLength: 4, truncationMode: 'keep_end' }],
  ])('%s: the same examples, from disk', async (_, rows, options) => {
    const path = file(lines(rows))
    const ours = await prepare(await streamed(path), tokenizer, { ...options, making: { cache: true } })
    const theirs = await prepare(await loadDataset(path), tokenizer, options)
    const plain = (list: typeof ours.examples) =>
      list.map((e) => ({ ...e, ids: [...e.ids], targets: [...e.targets], starts: e.starts && [...e.starts] }))
    expect(plain(ours.examples)).toEqual(plain(theirs.examples))
    expect({ ...ours, examples: 0 }).toEqual({ ...theirs, examples: 0 })
    const last = ours.examples.length - 1
    for (const i of [last, 0, last >> 1]) expect(ours.examples[i]!.ids).toEqual(theirs.examples[i]!.ids)
    expect(readdirSync(join(work, 'home/saqr/rows'))).toEqual([]) // what is open has no name
  })
})

it('a large file, in less memory than its tokens alone would take', { timeout: 180_000 }, async () => {
  const path = join(work, 'large.jsonl')
  const out = createWriteStream(path)
  const row = (i: number) => `${JSON.stringify({ input_ids: Array.from({ length: 1000 }, (_, k) => (i + k) % 90) })}\n`
  for (let i = 0; i < 30_000; i++) if (!out.write(row(i))) await new Promise<void>((done) => out.once('drain', done))
  await new Promise<void>((done) => out.end(done))
  const child = join(import.meta.dirname, 'streaming-child.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, ['--max-semi-space-size=1', child, path, 'true'], { encoding: 'utf8' })
  expect(stderr).toBe('')
  const { rows, tokens, grownMB } = JSON.parse(stdout) as { rows: number; tokens: number; grownMB: number }
  expect([rows, tokens]).toEqual([30_000, 30_000_000])
  // an id is four bytes, a target one: 143 MB; read into memory it takes 400
  expect(grownMB).toBeLessThan(120)
})

it('a preparation that fails leaves no file open, and says that it has ended', async () => {
  const path = file(lines([...Array.from({ length: 5 }, () => ({ text: 'the cat' })), { text: 7 }]))
  const open = () => readdirSync('/proc/self/fd').filter((fd) => /\.examples-.*deleted/.test(link(fd))).length
  const link = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  const before = open()
  for (const made of [false, true]) {
    const told: RowProgress[] = []
    const rows = made ? await streamed(file(lines([{ text: 'the cat' }]))) : await streamed(path)
    const prepared = prepare(rows, tokenizer, { maxLength: 64, making: { onProgress: (progress) => told.push(progress) } })
    if (made) await prepared
    else await expect(prepared).rejects.toThrow(/row 6|line 6/)
    expect(told.at(-1)).toMatchObject({ done: rows.length, total: rows.length })
    if (!made) expect(open()).toBe(before)
  }
})

it('one list of rows is not a row a line: that is said', async () => {
  await expect(streamed(file('[{"text":"a"},\n {"text":"b"}]'))).rejects.toThrow(/holds one list of rows/)
})
