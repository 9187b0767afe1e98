/** Prepared rows kept on disk: found where everything is the same, made anew where anything differs or the file is damaged. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AnswerRows } from '../../src/data/answer-rows.ts'
import { Counts } from '../../src/data/counts.ts'
import { Dataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { prepareAnswers } from '../../src/data/prepare-answers.ts'
import { makeRoom } from '../../src/data/prepared-cache.ts'
import { readPrepared, writePrepared } from '../../src/data/prepared-file.ts'
import { digestRows } from '../../src/data/row-digest.ts'
import type { Row } from '../../src/data/rows.ts'
import { parseExactly } from '../../src/hub/json-exact.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, tokenizerOf } from '../text/fixtures.ts'
import { pairs } from './as-trl.ts'

let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'saqr-rows-'))
  folder = join(home, 'saqr', 'rows')
  vi.stubEnv('HF_HOME', home)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(home, { recursive: true })
})

const tokenizer = tokenizerOf('smollm-like')
/** a little more than is worth keeping */
const texts = Array.from({ length: 300 }, (_, i) => ({ text: `${i}: ${'the cat sat on the mat. '.repeat(150)}` }))
const rows = (list: readonly Row[] = texts) => new Dataset(list, 'cats')
const FOUND = /^cats: prepared before, taken from .*\.rows$/
const run = (options: PrepareOptions = {}, list: readonly Row[] = texts, by = tokenizer) =>
  prepare(rows(list), by, { maxLength: 64, making: { cache: true }, ...options })
const isFound = ({ notes }: { notes: string[] }) => notes.some((note) => FOUND.test(note))

test('the second time they are found, with all that was known of them', async () => {
  const first = await run()
  const second = await run()
  expect([isFound(first), isFound(second)]).toEqual([false, true])
  expect({ ...second, notes: first.notes }).toEqual(first)
  expect(await prepare(rows(), tokenizer, { maxLength: 64 })).toEqual(first)
})

test('another row, option, name, tokenizer or order: made anew', async () => {
  await run()
  const changed = texts.map((row, i) => (i === 299 ? { text: `${row.text}!` } : row))
  const ended = new Tokenizer(filesOf('smollm-like'), { eosToken: '<|endoftext|>' })
  const others = [
    await run({}, changed),
    await run({ maxLength: 63 }),
    await run({ truncationMode: 'keep_end' }),
    await run({}, texts.toReversed()),
    await run({}, texts, ended),
    await prepare(new Dataset(texts, 'dogs'), tokenizer, { maxLength: 64, making: { cache: true } }),
  ]
  expect(others.map(isFound)).toEqual(others.map(() => false))
  expect(readdirSync(folder)).toHaveLength(7)
  expect(isFound(await run())).toBe(true)
})

test.each<[string, (path: string, bytes: Buffer) => void]>([
  ['a byte is another', (path, bytes) => writeFileSync(path, bytes.fill(bytes[5000]! ^ 1, 5000, 5001))],
  ['its end is missing', (path, bytes) => truncateSync(path, bytes.length - 1)],
  ['it is empty', (path) => truncateSync(path, 0)],
  ['it is of another format', (path, bytes) => writeFileSync(path, bytes.fill('saqr rows 0\n', 0, 12))],
])('a file in which %s is made anew', async (_, damage) => {
  const first = await run()
  const path = join(folder, readdirSync(folder)[0]!)
  const whole = readFileSync(path)
  damage(path, Buffer.from(whole))
  const again = await run()
  expect(isFound(again)).toBe(false)
  expect(again).toEqual(first)
  expect(readFileSync(path)).toEqual(whole)
})

test('nothing is kept of few rows, of what a function makes, of values no file holds, or where it is off', async () => {
  await run({}, texts.slice(0, 20))
  await run({ formattingFunc: ({ text }) => String(text) })
  await run({ making: {} })
  await run(
    {},
    texts.map((row) => ({ ...row, at: new Date(0) })),
  )
  expect(existsSync(folder)).toBe(false)
})

test('a folder that can not be written is a note', async () => {
  mkdirSync(join(home, 'saqr'))
  writeFileSync(folder, 'a file where the folder should be')
  const made = await run()
  expect(made.notes).toContainEqual(expect.stringMatching(/^cats: the prepared rows are not kept for the next start: /))
  expect(made.examples).toHaveLength(300)
})

test('no home folder to keep them in is a note', async () => {
  for (const name of ['HF_HOME', 'XDG_CACHE_HOME']) vi.stubEnv(name, undefined)
  for (const name of ['HOME', 'USERPROFILE']) vi.stubEnv(name, '')
  const made = await run()
  expect(made.notes).toContainEqual(
    expect.stringMatching(
      /^cats: the prepared rows are not kept for the next start: No home folder is known \((HOME|USERPROFILE): it is empty\)\. Set/,
    ),
  )
  expect(made.examples).toHaveLength(300)
})

test('numbers written otherwise are other rows', async () => {
  const digest = async (...lines: string[]) => (await digestRows(rows(lines.map((line) => parseExactly(line) as Row))))?.digest
  const all = [
    '{"a":20}',
    '{"a":20.0}',
    '{"a":"20"}',
    '{"a":[20]}',
    '{"a":null}',
    '{"a":12345678901234567890}',
    '{"a":12345678901234567891}',
  ]
  const more = ['{"2":1,"1":1}', '{"1":1,"2":1}', '{"a":-0}', '{"a":0}', '{"a":{"b":1}}', '{"a":["",""]}', '{"a":["\\u0000"]}', '{}']
  const digests = await Promise.all([...all, ...more].map((line) => digest(line)))
  expect(new Set(digests).size).toBe(all.length + more.length)
  expect(await digest('{"a":1}', '{"b":1}')).not.toBe(await digest('{"a":1,"b":1}'))
  expect(await digest(...all)).toBe(await digest(...all))
  expect(await digestRows(rows([{ text: 'half \uD83D' }]))).toBeNull()
})

test('the day counts where the template tells it', () => {
  const told = (source: string) => new Tokenizer(filesOf('smollm-like'), { chatTemplate: source })
  const at = (day: number, hour = 0) => new Date(2026, 0, day, hour)
  const alike = (source: string, a: Date, b: Date) => told(source).fingerprint(a) === told(source).fingerprint(b)
  expect(alike('{{ messages }}', at(1), at(2))).toBe(true)
  expect(alike('{{ strftime_now("%d %b %Y") }}', at(1), at(1, 5))).toBe(true)
  expect(alike('{{ strftime_now("%d %b %Y") }}', at(1), at(2))).toBe(false)
  expect(alike('{{ strftime_now("%d %H") }}', at(1), at(1, 5))).toBe(false)
  expect(alike('{% set f = strftime_now %}{{ f("%H") }}', at(1), at(1, 5))).toBe(false)
})

test('another token, id, merge or order of merges is another tokenizer; how merges are written is not', () => {
  const files = filesOf('smollm-like')
  const { model } = files.tokenizerJson as { model: { vocab: Record<string, number>; merges: (string | [string, string])[] } }
  const of = (vocab: typeof model.vocab, merges = model.merges) =>
    new Tokenizer({ ...files, tokenizerJson: { ...files.tokenizerJson, model: { ...model, vocab, merges } } }).fingerprint(new Date(0))
  const tokens = Object.entries(model.vocab)
  const [a, b] = [tokens.at(-1)!, tokens.at(-2)!]
  const pairs = model.merges.map((merge) => (typeof merge === 'string' ? (merge.split(' ') as [string, string]) : merge))
  const others = [
    of(model.vocab),
    of({ ...model.vocab, [a[0]]: b[1], [b[0]]: a[1] }),
    of({ ...model.vocab, more: tokens.length + 1000 }),
    of(model.vocab, model.merges.slice(0, -1)),
    of(model.vocab, [model.merges[1]!, model.merges[0]!, ...model.merges.slice(2)]),
  ]
  expect(new Set(others).size).toBe(others.length)
  expect(of({ ...model.vocab }, pairs)).toBe(others[0])
})

test('pairs and rated answers are found too, each kind for itself', async () => {
  const answers = texts.map(({ text }, i) => ({ prompt: `${i}?`, chosen: text, rejected: `${text.slice(9)} no` }))
  const run = (kind: AnswerRows) =>
    prepareAnswers(rows(answers), tokenizer, kind, { maxLength: 64, truncationMode: 'keep_start', making: { cache: true } })
  const first = await run(pairs)
  expect(isFound(await run({ ...pairs, name: 'others' }))).toBe(false)
  const second = await run(pairs)
  expect(isFound(second)).toBe(true)
  expect({ ...second, notes: first.notes }).toEqual(first)
})

test('pairs, packs and rated answers come back as they were', () => {
  const example = (more: Partial<Example>): Example => ({
    ids: Int32Array.of(1, 2, 3),
    targets: Uint8Array.of(0, 1, 1),
    row: 7,
    source: 'cats',
    ...more,
  })
  const long = { ids: Int32Array.from({ length: 300_000 }, (_, i) => i), targets: new Uint8Array(300_000).fill(1) }
  const examples = [
    example({}),
    example({ starts: Int32Array.of(0, 2), prompts: [1, 1], wanted: true }),
    example({ starts: Int32Array.of(0), prompts: [2], wanted: false }),
    example(long),
  ]
  const prepared = { examples, lengths: Counts.of([3, 3, 3, 300_000]), limit: 9, unused: ['é'], form: null, notes: ['a'], warnings: [] }
  const path = join(home, 'some.rows')
  writePrepared(path, 'key', prepared)
  const { examples: read, ...rest } = readPrepared(path, 'key')!
  expect({ ...rest, examples: read.slice(0, 3) }).toEqual({ ...prepared, examples: examples.slice(0, 3) })
  const bytes = ({ ids, targets }: Pick<Example, 'ids' | 'targets'>) => [
    Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength),
    Buffer.from(targets),
  ]
  expect(bytes(read[3]!)).toEqual(bytes(long))
  expect(read).toHaveLength(4)
  expect(readPrepared(path, 'another key')).toBeNull()
  expect(writePrepared(path, 'key', { ...prepared, examples: [...examples, example({ source: 'dogs' })] })).toBeNull()
})

test('those used longest ago go first', () => {
  for (const [name, age] of [
    ['old.rows', 3],
    ['new.rows', 1],
    ['middle.rows', 2],
    ['other', 9],
  ] as const) {
    writeFileSync(join(home, name), Buffer.alloc(100))
    utimesSync(join(home, name), 1000 - age, 1000 - age)
  }
  makeRoom(home, 250)
  expect(readdirSync(home).sort()).toEqual(['middle.rows', 'new.rows', 'other'])
})

test('progress is told and the whole can be stopped', async () => {
  const many = Array.from({ length: 20_000 }, (_, i) => ({ text: `${i} ${'word'.repeat(i % 50)}` }))
  const heard: number[] = []
  await prepare(rows(many), tokenizer, { making: { onProgress: ({ done, total }) => total === 20_000 && heard.push(done) } })
  expect(heard.length).toBeGreaterThan(0)
  expect(heard).toEqual([...heard].sort((a, b) => a - b))
  const stop = new AbortController()
  const reason = new Error('enough')
  const going = prepare(rows(many), tokenizer, { signal: stop.signal, making: { cache: true, onProgress: () => stop.abort(reason) } })
  await expect(going).rejects.toBe(reason)
})
