/** Rows that stay on disk are the rows that are in memory, whatever is done with them, in the memory of a few of them. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, createWriteStream, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type AnswerRows, PAIR } from '../../src/data/answer-rows.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { lazyList } from '../../src/data/lazy-list.ts'
import { loadDataset } from '../../src/data/load.ts'
import { type Prepared, type PrepareOptions, prepare, type RowProgress } from '../../src/data/prepare.ts'
import { type AnswerOptions, checkPairs, prepareAnswers } from '../../src/data/prepare-answers.ts'
import { ANEW } from '../../src/data/prepared-cache.ts'
import { takenApart, wantedOf } from '../../src/data/rated.ts'
import * as parquet from '../../src/data/read-parquet.ts'
import type { Row } from '../../src/data/rows.ts'
import { stringifyJson } from '../../src/formats/json.ts'
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
    [
      'a file of another kind',
      'a',
      'rows.txt',
      /rows\.txt can't be streamed: \.json, \.jsonl, \.ndjson, \.csv, \.tsv and \.parquet files can, gzipped too/,
    ],
    ['a list without an end', '[{"text":"a"},\n {"te', 'short.json', /short\.json ends within its list of rows, after row 1/],
    ['a list of other things', '[{"text":"a"},\n 7]', 'seven.json', /seven\.json, row 2: a row must be an object/],
    ['more behind a list', '[{"text":"a"}] {}', 'more.json', /more\.json, byte 16: the list of rows has ended/],
    ['no comma', '[{"text":"a"} {}]', 'comma.json', /comma\.json, byte 15: after row 1 comes neither a comma nor the end/],
    ['rows under data', '{"version":1,"data":[{"text":"a"}]}', 'under.json', /under\.json holds its rows in a list under data/],
    ['a quote without an end', 'text\na\n"b\nc', 'quote.csv', /the quote opened in line 3 is never closed/],
    ['too many cells', 'text\n\na,b\n', 'cells.csv', /line 3 has 2 cells where the first line names 1 columns/],
    ['other separators', 'text;label\na;b\n', 'semicolons.csv', /separates its columns \(text, label\) by semicolons/],
    ['no gzip', 'text', 'no.jsonl.gz', /no\.jsonl\.gz can't be unpacked/],
    ['half of one', gzipSync('{"text":"a"}\n'.repeat(999)).subarray(0, 40), 'half.jsonl.gz', /half\.jsonl\.gz can't be unpacked/],
    ['no bytes', '', 'empty.parquet', /empty\.parquet is empty\. /],
    ['no Parquet', 'PAR1', 'no.parquet', /no\.parquet can't be read as Parquet/],
  ])('%s is told with its place', async (_, content, name, message) => {
    await expect(streamed(file(content, name))).rejects.toThrow(message)
  })

  const table = 'text,"a ""note""",n\r\n"one, two\r\nthree",,20.0\r\n\r\n \n"ü",\u2028,"1"\nshort\r"", ,x"y\n'
  const several = [{ text: 'a', n: 20.5 }, { text: 'ü"]}\\', m: [{ k: [1, '{'] }] }, { text: '' }]
  it.each<[string, string | Uint8Array]>([
    ['list.json', `\uFEFF \n[${several.map((row) => JSON.stringify(row)).join(' ,\n')} ]\n`],
    ['empty.json', ' [ ]\n'],
    ['lines.json', lines(several)],
    ['returns.jsonl', lines(several).replaceAll('\n', '\r')],
    ['mixed.jsonl', '{"a":1}\r\n\r\r{"a":2}\n\r\n{"a":3}\r'],
    ['lines.jsonl.gz', gzipSync(lines(several))],
    ['list.json.gz', gzipSync(JSON.stringify(several))],
    ['table.csv', table],
    ['mark.csv', `\uFEFF${table}`],
    ['head.csv', 'text,n\n'],
    ['nothing.csv', ''],
    ['table.tsv.gz', gzipSync(table.replaceAll(',', '\t'))],
    ['rows.parquet', readFileSync(join(import.meta.dirname, '../fixtures/data/rows.parquet'))],
    ['lz4.parquet', readFileSync(join(import.meta.dirname, '../fixtures/row-files/lz4.parquet'))],
    ['numbers.parquet', readFileSync(join(import.meta.dirname, '../fixtures/row-files/numbers.parquet'))],
  ])('of %s are those in memory', async (name, content) => {
    const path = file(content, name)
    const [ours, theirs] = [await streamed(path), await loadDataset(path)]
    expect([...ours.rows]).toEqual(theirs.rows)
    // to the digit, as a template would print it
    expect(ours.rows.map((row) => stringifyJson(row))).toEqual(theirs.rows.map((row) => stringifyJson(row)))
    expect(ours.rows.map((_, i) => [ours.where(i), ours.numberOf(i)])).toEqual(
      theirs.rows.map((_, i) => [theirs.where(i), theirs.numberOf(i)]),
    )
    expect([ours.columns, ours.isStreamed]).toEqual([theirs.columns, true])
    const [last] = ours.rows.slice(-1)
    expect(last).toEqual(theirs.rows.at(-1))
  })

  it('of marks of two characters that two readings part', async () => {
    const read = 1 << 22 // bytes
    const rest = (begin: string, mark: string) => `${begin}${'x'.repeat(read - Buffer.byteLength(begin) - 1)}${mark}`
    const cases: [string, string][] = [
      ['ends.jsonl', `${rest('{"text":"', '"}').slice(0, -3)}"}\r\n{"text":"b"}\r\n`],
      ['ends.csv', rest('text\n', '\r\nb\r\n')],
      ['quotes.csv', rest('text\n"', '""b"\nc\n')],
      ['lines.csv', rest('text\n"', '\r\nb"\n"c\n"\n"d\n')],
      ['escapes.json', rest('[{"text":"', '\\""},{"text":"b"}]')],
    ]
    for (const [name, text] of cases) {
      const path = file(text, name)
      const read = async (streaming: boolean) => {
        try {
          return [...(await loadDataset(path, { streaming })).rows]
        } catch (error) {
          return (error as Error).message
        }
      }
      expect(await read(true), name).toEqual(await read(false))
    }
  })

  it('of several files are one data set', async () => {
    const paths = [file(lines(several), 'first.jsonl'), file('text,n\nb,1\nc,2\n', 'second.csv'), file('[]', 'third.json')]
    const load = (streaming: boolean) => loadDataset('json', { dataFiles: paths, streaming })
    const [ours, theirs] = [await load(true), await load(false)]
    const picks: ((d: Dataset) => Dataset)[] = [
      (d) => d,
      (d) => d.shuffle({ seed: 3 }).skip(1),
      (d) => Dataset.mix([d, d.take(2)], [2, 1]),
      (d) => d.removeColumns('m').renameColumn('n', 'number'),
      (d) => d.selectColumns(['text']).take(4),
      (d) => Dataset.join([d.take(2), new Dataset([{ text: 'in memory' }], 'more')]),
    ]
    for (const pick of picks) {
      const [a, b] = [pick(ours), pick(theirs)]
      expect([...a.rows]).toEqual(b.rows)
      expect(a.rows.map((_, i) => [a.where(i), a.numberOf(i)])).toEqual(b.rows.map((_, i) => [b.where(i), b.numberOf(i)]))
      expect([a.isStreamed, a.columns.sort(), a.source]).toEqual([true, b.columns.sort(), b.source])
    }
  })

  it('of Parquet keep dates, and what JSON has no place for is refused by its column', async () => {
    const groups = vi.spyOn(parquet, 'parquetGroups')
    const path = file('', 'dates.parquet')
    const given = (rows: Row[]) =>
      groups.mockImplementationOnce(async function* () {
        yield rows
      })
    const rows = [
      { at: new Date(5), text: 'a', n: 2 },
      { at: null, text: 'b', n: 3 },
    ]
    given(rows)
    expect([...(await streamed(path)).rows]).toEqual(rows)
    given([{ text: 'a', image: { bytes: new Uint8Array(2) } }])
    await expect(streamed(path)).rejects.toThrow(/dates\.parquet, row 1: the column image holds bytes, which don't stay on disk/)
    given([{ text: 'a', times: [new Date(0)] }])
    await expect(streamed(path)).rejects.toThrow(/the column times holds dates within others/)
  })

  it('refuse by name what would bring them all into memory', async () => {
    const rows = await streamed(file(lines([{ text: 'a' }])))
    for (const call of [() => rows.map((row) => row), () => rows.filter(() => true)])
      expect(call).toThrow(/rows that are streamed can't be .*: leave streaming out/)
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
      list.map(({ place: _, ...e }) => ({ ...e, ids: [...e.ids], targets: [...e.targets], starts: e.starts && [...e.starts] }))
    expect(plain(ours.examples)).toEqual(plain(theirs.examples))
    // what a function makes is kept of no rows
    const anew = 'formattingFunc' in options ? [] : [`${theirs.examples[0]!.source}: ${ANEW}`]
    expect({ ...ours, examples: 0 }).toEqual({ ...theirs, examples: 0, notes: [...theirs.notes, ...anew] })
    const last = ours.examples.length - 1
    for (const i of [last, 0, last >> 1]) expect(ours.examples[i]!.ids).toEqual(theirs.examples[i]!.ids)
    expect(readdirSync(join(work, 'home/saqr/rows'))).toEqual([]) // what is open has no name
  })
})

describe('prepared answers', () => {
  const pairs = Array.from({ length: 2300 }, (_, i) => ({
    prompt: `${i} ${'the cat '.repeat(i % 5)}\n`,
    chosen: `sat ${i % 3}`,
    rejected: i % 7 === 0 ? `sat ${i % 3}` : 'on the mat',
    score: i,
  }))
  const rated = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: chosen, label: i % 3 > 0 }))
  const chats = pairs.slice(0, 30).map(({ prompt, chosen, rejected }) => {
    const said = (content: string) => [
      { role: 'user', content: prompt },
      { role: 'assistant', content },
    ]
    return { chosen: said(chosen), rejected: said(`${rejected}!`) }
  })
  const kinds: Record<string, [(dataset: Dataset) => Dataset, AnswerRows, Partial<AnswerOptions>]> = {
    dpo: [(d) => d, { name: 'a', parts: PAIR, shape: 'pairs', tokens: 'answered', check: checkPairs }, {}],
    orpo: [(d) => d, { name: 'b', parts: PAIR, shape: 'pairs', tokens: 'orpo', check: checkPairs }, {}],
    kto: [takenApart, { name: 'c', parts: ['answer'], shape: 'rated', tokens: 'answered', wanted: wantedOf }, { neighbours: 4 }],
  }

  it.each<[string, keyof typeof kinds, readonly object[], Partial<AnswerOptions>]>([
    ['pairs', 'dpo', pairs, {}],
    ['pairs of messages', 'dpo', chats, {}],
    ['pairs, cut', 'dpo', pairs, { maxLength: 10 }],
    ['pairs for orpo', 'orpo', pairs, { maxLength: 12 }],
    ['rated answers', 'kto', rated, { maxLength: 12 }],
    ['pairs taken apart', 'kto', pairs, {}],
  ])('%s: the same examples, from disk', async (_, kind, list, more) => {
    const path = file(lines(list))
    const [of, rows, own] = kinds[kind]!
    const options = { maxLength: null, truncationMode: 'keep_start' as const, ...own, ...more, making: { cache: true } }
    const ours = await prepareAnswers(of(await streamed(path)), tokenizer, rows, options)
    const theirs = await prepareAnswers(of(await loadDataset(path)), tokenizer, rows, options)
    const plain = ({ examples, ...rest }: Prepared) => ({
      ...rest,
      examples: examples.map(({ place: _, ...e }) => ({ ...e, ids: e.ids.join(), targets: e.targets.join(), starts: [...e.starts!] })),
    })
    // what is in memory is found again; of rows on disk it is said that they aren't
    const notes = plain(theirs).notes.filter((note) => !note.includes('prepared before'))
    expect(plain(ours)).toEqual({ ...plain(theirs), notes: [...notes, expect.stringContaining(ANEW)] })
    expect(readdirSync(join(work, 'home/saqr/rows')).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

it('a large file, in less memory than its tokens alone would take', { timeout: 180_000 }, async () => {
  const path = join(work, 'large.jsonl')
  const out = createWriteStream(path)
  const row = (i: number) => `${JSON.stringify({ input_ids: Array.from({ length: 1000 }, (_, k) => (i + k) % 90) })}\n`
  const different = Array.from({ length: 90 }, (_, i) => row(i))
  for (let i = 0; i < 24_000; i++) if (!out.write(different[i % 90]!)) await new Promise<void>((done) => out.once('drain', done))
  await new Promise<void>((done) => out.end(done))
  const child = join(import.meta.dirname, 'streaming-child.mjs')
  const { stdout, stderr } = spawnSync(process.execPath, ['--max-semi-space-size=1', child, path, 'true'], { encoding: 'utf8' })
  expect(stderr).toBe('')
  const { rows, tokens, grownMB } = JSON.parse(stdout) as { rows: number; tokens: number; grownMB: number }
  expect([rows, tokens]).toEqual([24_000, 24_000_000])
  // an id is four bytes, a target one: 114 MB; read into memory it takes 320, from disk 70, however many they are
  expect(grownMB).toBeLessThan(105)
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
