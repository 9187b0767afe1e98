import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRows } from '../../src/data/files.ts'
import { bytesOf } from '../../src/data/gzip.ts'
import { loadDataset, loadRows } from '../../src/data/load.ts'
import { loadMixture, mixtureOf } from '../../src/data/load-mixture.ts'
import { Room } from '../../src/data/room.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-rows-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

/** this process's numbers for a file (Linux) */
const held = (path: string) =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  })

const rows = [{ text: 'a\u2028b' }, { text: 'صقر, "quoted"\nsecond line' }]

describe('rows out of files', () => {
  test('.json: a list, or an object with a list under data', async () => {
    expect((await loadDataset(file('list.json', JSON.stringify(rows)))).rows).toEqual(rows)
    expect((await loadDataset(file('data.json', `\uFEFF${JSON.stringify({ version: 1, data: rows })}`))).rows).toEqual(rows)
  })

  test('.jsonl, also named .json: blank lines skipped, rows called by their line', async () => {
    const lines = `${JSON.stringify(rows[0])}\r\n\n${JSON.stringify(rows[1])}`
    for (const name of ['rows.jsonl', 'lines.json']) {
      const dataset = await loadDataset(file(name, lines))
      expect(dataset.rows).toEqual(rows)
      expect(dataset.where(1)).toBe(`${join(folder, name)}, line 3`)
      expect(dataset.slice(1).where(0)).toBe(dataset.where(1))
    }
  })

  test('lines longer than one read of the disk', async () => {
    const long = Array.from({ length: 20 }, (_, i) => ({ text: `${i} صقر `.repeat(4000) }))
    expect((await loadDataset(file('long.jsonl', long.map((r) => JSON.stringify(r)).join('\n')))).rows).toEqual(long)
  })

  test('.csv: columns by the first line', async () => {
    const dataset = await loadDataset(file('rows.csv', '\uFEFFinstruction,input,output\n"say ""hi""",,"two\nlines"\nadd,1 2,3\n'))
    expect(dataset.rows).toEqual([
      { instruction: 'say "hi"', input: '', output: 'two\nlines' },
      { instruction: 'add', input: '1 2', output: '3' },
    ])
    expect(dataset.recognise().shape).toBe('alpaca')
  })

  test('.parquet: nested columns and whole numbers', async () => {
    const dataset = await loadDataset(join(import.meta.dirname, '../fixtures/data/rows.parquet'))
    expect(dataset.rows).toEqual([
      { messages: [{ role: 'user', content: 'hi' }, { role: 'assistant', content: 'صقر' }], score: 7 },
      { messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: null }], score: 8 },
    ]) // biome-ignore format: two rows
    expect(dataset.recognise()).toEqual({ shape: 'messages', unused: ['score'] })
  })
})

describe('what a file holds counts more than its name', () => {
  test('a list, or one object over several lines, in a .jsonl', async () => {
    expect((await loadDataset(file('list.jsonl', `\uFEFF\n${JSON.stringify(rows, null, 2)}`))).rows).toEqual(rows)
    const one = await loadDataset(file('one.jsonl', JSON.stringify(rows[0], null, 2)))
    expect(one.rows).toEqual([rows[0]])
    expect(one.where(0)).toBe(`${join(folder, 'one.jsonl')}, row 1`)
  })

  test('one object in a .json, and a list of texts', async () => {
    expect((await loadDataset(file('one.json', JSON.stringify(rows[0], null, 2)))).rows).toEqual([rows[0]])
    expect((await loadDataset(file('texts.json', '["a", "b"]'))).rows).toEqual([{ text: 'a' }, { text: 'b' }])
  })

  test('NaN and Infinity are numbers, as in Python', async () => {
    const { rows } = await loadDataset(file('nan.jsonl', '{"text":"a","score":NaN}\n{"text":"b","score":[-Infinity,Infinity,1.5]}'))
    expect(rows).toEqual([
      { text: 'a', score: Number.NaN },
      { text: 'b', score: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 1.5] },
    ])
  })

  test('a byte order mark at the beginning of a file is one, elsewhere it is text', async () => {
    const lines = '\uFEFF{"text":"\uFEFFa"}\n{"text":"b"}'
    expect((await loadDataset(file('mark.jsonl', lines))).rows).toEqual([{ text: '\uFEFFa' }, { text: 'b' }])
    expect((await loadDataset(file('mark.csv', '\uFEFFtext\n\uFEFFa'))).rows).toEqual([{ text: '\uFEFFa' }])
  })

  test.runIf(process.platform === 'linux')('gzipped files that are left early are closed', async () => {
    // a list in a file of lines is seen at its beginning, with most of the file unread
    const noise = Array.from({ length: 40 }, () => ({ text: randomBytes(30_000).toString('base64') }))
    const path = file('list.jsonl.gz', gzipSync(JSON.stringify(noise)))
    expect((await loadDataset(path)).rows).toEqual(noise)
    await expect.poll(() => held(path)).toEqual([])
    const reading = bytesOf(path)[Symbol.asyncIterator]()
    await reading.next()
    expect(held(path)).toHaveLength(1)
    await reading.return!()
    await expect.poll(() => held(path)).toEqual([])
  })

  test.runIf(process.platform === 'linux')('a streamed file that can’t be read is told, and closed', async () => {
    // a process's memory is a file whose first page can't be read
    const path = join(folder, 'memory.jsonl')
    symlinkSync('/proc/self/mem', path)
    const before = held(`/proc/${process.pid}/mem`)
    await expect(loadDataset(path, { streaming: true })).rejects.toMatchObject({
      name: 'SaqrError',
      message: expect.stringContaining(path),
    })
    expect(held(`/proc/${process.pid}/mem`)).toEqual(before)
  })

  test('gzipped files', async () => {
    const lines = `${JSON.stringify(rows[0])}\n\n${JSON.stringify(rows[1])}`
    const dataset = await loadDataset(file('rows.jsonl.gz', gzipSync(lines)))
    expect(dataset.rows).toEqual(rows)
    expect(dataset.where(1)).toMatch(/rows\.jsonl\.gz, line 3$/)
    expect((await loadDataset(file('rows.json.gz', gzipSync(JSON.stringify(rows))))).rows).toEqual(rows)
    expect((await loadDataset(file('rows.csv.gz', gzipSync('a,b\n1,2')))).rows).toEqual([{ a: '1', b: '2' }])
    const parquet = join(import.meta.dirname, '../fixtures/data/rows.parquet')
    const packed = file('rows.parquet.gz', gzipSync(readFileSync(parquet)))
    const known = [...(await loadDataset(parquet)).rows]
    for (const streaming of [false, true]) expect([...(await loadDataset(packed, { streaming })).rows]).toEqual(known)
    await expect(loadDataset(file('torn.parquet.gz', 'no gzip'))).rejects.toThrow(/torn\.parquet\.gz can't be unpacked/)
    await expect(loadDataset(file('short.parquet.gz', gzipSync('PAR1')))).rejects.toThrow(/short\.parquet\.gz can't be read as Parquet/)
    await expect(loadDataset(file('torn.json.gz', 'no gzip'))).rejects.toThrow(/torn\.json\.gz can't be unpacked/)
    await expect(loadDataset(file('torn.jsonl.gz', 'no gzip'))).rejects.toThrow(/torn\.jsonl\.gz can't be unpacked/)
    await expect(loadDataset(file('rows.jsonl.zst', ''))).rejects.toThrow(/rows\.jsonl\.zst is packed.*unpack it first/)
  })

  test('tabs in a .tsv', async () => {
    expect((await loadDataset(file('rows.tsv', 'prompt\tcompletion\na, b\tc'))).rows).toEqual([{ prompt: 'a, b', completion: 'c' }])
  })
})

describe('what can’t be read is named', () => {
  test.each([
    ['broken.jsonl', '{"text":"a"}\n{"text": bad}\n', /^\S*broken\.jsonl, line 2, column 10 is not valid JSON: Unexpected token 'b'\.$/],
    ['short.jsonl', '{"text":"a"}\n\n{"text":', /short\.jsonl, line 3, column 9 is not valid JSON/],
    ['broken.json', '[{"text":"a"},\n{"text" "b"}]', /broken\.json, line 2, column 9 is not valid JSON/],
    ['numbers.json', '[1]', /numbers\.json, row 1: a row must be an object with named columns, this is 1/],
    ['number.json', '7', /number\.json holds neither rows nor a list of them/],
    ['utf.jsonl', Uint8Array.of(0x7b, 0xff, 0x7d), /utf\.jsonl, line 1 is not valid UTF-8/],
    ['ragged.csv', 'text,label\na,1\nb,2,3\n', /ragged\.csv is not a valid CSV file: .*line 3/],
    [
      'semicolons.csv',
      'prompt;completion\na;b',
      /separates its columns \(prompt, completion\) by semicolons, not by commas\. Save it with commas/,
    ],
    ['tabs.csv', 'prompt\tcompletion\na\tb', /by tabs, not by commas\. Save it with commas, or name the file \.tsv/],
    ['open.csv', 'text\n"a\nb', /open\.csv is not a valid CSV file: the quote opened in line 2 is never closed/],
    ['mark.jsonl', '{"text":"a"}\n\uFEFF{"text":"b"}', /mark\.jsonl, line 2, column 1 is not valid JSON/],
    ['nan.json', '[{"a": NaN, "b": Nan}]', /nan\.json, line 1, column 18 is not valid JSON/],
    ['torn.parquet', 'PAR1 nothing PAR1', /^\S+[/\\]torn\.parquet can't be read as Parquet/],
    ['empty.parquet', '', /^\S+[/\\]empty\.parquet is empty\. /],
    ['rows.txt', 'a', /rows\.txt: rows are read from \.json, \.jsonl.*lines of \{"text": "…"\}/],
  ] as [string, string | Uint8Array, RegExp][])('%s', async (name, content, message) => {
    await expect(loadDataset(file(name, content))).rejects.toThrow(message)
  })

  test('more rows than memory takes are refused before they are read', async () => {
    const path = file('large.jsonl', '{"text":"a"}\n')
    truncateSync(path, 2 ** 40) // a hole takes no room on the disk
    await expect(loadDataset(path)).rejects.toMatchObject({ code: 'DATA_TOO_LARGE', message: expect.stringContaining('streaming: true') })
  })

  test('what fits by itself counts together with what the same load reads', async () => {
    const heap = getHeapStatistics().heap_size_limit
    const inside = join(folder, 'large')
    mkdirSync(inside)
    const [a, b] = ['train-0.jsonl', 'test-0.jsonl'].map((name) => {
      const path = file(join('large', name), '{"text":"a"}\n')
      truncateSync(path, Math.floor(0.4 * heap)) // a hole takes no room on the disk
      return path
    }) as [string, string]
    // rows take 1.8 times their text: more than 1 / 1.8 of the heap never fits
    expect(() => [new Room([a]), new Room([b])]).not.toThrow()
    expect(() => new Room([a, b])).toThrow(`${a} and 1 more have`)
    truncateSync(a, Math.floor(heap / 1.8))
    expect(() => new Room([a])).toThrow(`${a} has`)
    truncateSync(a, Math.floor(0.4 * heap))
    const refused = expect.objectContaining({ code: 'DATA_TOO_LARGE', message: expect.stringContaining('and 1 more have') })
    await expect(loadDataset('json', { dataFiles: [a, b] })).rejects.toEqual(refused)
    await expect(loadDataset(inside, { split: 'train+test' })).rejects.toEqual(refused)
    // a mixture's parts, and rows to evaluate on, are in memory beside what was read before
    writeFileSync(a, '{"text":"a"}\n')
    const half = new Room([], 16)
    const beside = expect.objectContaining({
      code: 'DATA_TOO_LARGE',
      message: expect.stringContaining('and the rows that are read with it'),
    })
    await loadRows(a, { split: 'train', room: half })
    writeFileSync(b, '{"text":"b"}\n')
    await expect(loadRows(b, { split: 'train', room: half })).rejects.toEqual(beside)
    const parts = mixtureOf([{ path: a }, { path: b }])
    await expect(loadMixture(parts, { room: new Room([], 16) })).rejects.toEqual(beside)
    expect((await loadMixture(parts, {})).length).toBe(2)
  })

  test('what is packed counts as it is unpacked', async () => {
    const lines = (n: number) => gzipSync('{"text":"aaaaaaaa"}\n'.repeat(n)) // of 20 bytes
    const [one, two] = [file('one.jsonl.gz', lines(50_000)), file('two.json.gz', lines(50_000))]
    expect((await readRows(one, new Room([one], 1e6))).rows.length).toBe(50_000)
    const refused = (start: string) => expect.objectContaining({ code: 'DATA_TOO_LARGE', message: expect.stringContaining(start) })
    await expect(readRows(one, new Room([one], 1e6 - 1))).rejects.toEqual(refused(`${one} has more than 0.0 GB unpacked`))
    const both = new Room([one, two], 1.5e6)
    await readRows(one, both)
    await expect(readRows(two, both)).rejects.toEqual(refused(`${two} and what is read with it has more than`))
  })

  test('a file whose parts a run trains on and evaluates on is read and counted once', async () => {
    const path = file('parts.jsonl', '{"text":"a"}\n{"text":"b"}\n')
    const run = { room: new Room([], 30), remembered: true } // the file has 26 bytes
    const train = await loadRows(path, { split: 'train[:50%]', ...run })
    writeFileSync(path, '')
    const kept = await loadRows(path, { split: 'train[50%:]', ...run })
    expect([train.rows, kept.rows].map((rows) => [...rows])).toEqual([[{ text: 'a' }], [{ text: 'b' }]])
  })

  test('a mixture reads a file that it names twice once: in memory, on disk, and beside what is evaluated on', async () => {
    const path = file('twice.jsonl', '{"text":"a"}\n{"text":"b"}\n')
    const parts = mixtureOf([
      { path, split: 'train[:1]' },
      { path: 'json', data_files: [path, path] },
      { path, columns: ['text'] },
    ])
    const all = ['a', 'a', 'b', 'a', 'b', 'a', 'b'].map((text) => ({ text }))
    const room = new Room([], 30) // the file has 26 bytes
    const mixed = await loadMixture(parts, { room })
    expect(mixed.rows).toEqual(all)
    expect(mixed.rows[3]).toBe(mixed.rows[0])
    expect((await loadRows(path, { split: 'train', room, remembered: true })).rows[0]).toBe(mixed.rows[0])
    const streamed = await loadMixture(parts, { room, streaming: true })
    if (process.platform === 'linux') expect(held(path)).toHaveLength(1)
    expect([...streamed]).toEqual(all)
    // whoever loads rows for himself may change them
    const [first, second] = [await loadDataset(path), await loadDataset(path)]
    expect(first.rows[0]).not.toBe(second.rows[0])
  })

  test('parts of one split are read once', async () => {
    const inside = join(folder, 'once')
    mkdirSync(inside)
    file(join('once', 'train.jsonl'), ['a', 'b', 'c', 'd'].map((text) => `{"text":"${text}"}\n`).join(''))
    file(join('once', 'test.jsonl'), '{"text":"e"}\n')
    const { rows, source } = await loadDataset(inside, { split: 'train[2:]+test+train[:25%]' })
    expect([rows.map(({ text }) => text), source]).toEqual([['c', 'd', 'e', 'a'], `${inside} (train[2:]+test+train[:25%])`])
  })

  test('no file', async () => {
    for (const name of ['absent.json', 'absent.jsonl', 'absent.csv', 'absent.parquet', 'absent.txt', 'absent'])
      await expect(loadDataset(join(folder, name))).rejects.toMatchObject({
        code: 'FORMAT_NOT_FOUND',
        message: `${join(folder, name)} does not exist: there is no ${name} in ${folder}.`,
      })
  })

  // comparing it with the names that are there would take minutes, and saying it back fills a screen
  test('a text where a path belongs', async () => {
    const text = '{"text": "a"}\n'.repeat(1e5)
    await expect(loadDataset(text)).rejects.toMatchObject({
      code: 'FORMAT_NOT_FOUND',
      message: expect.stringMatching(
        /^"\{\\"text\\": \\"a\\"\}\\n.{40,90}…" was taken for a path, and there is none of 1,400,000 characters in several lines/,
      ),
    })
  }, 5000)
})
