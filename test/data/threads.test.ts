/** Rows made by several threads: the same examples, notes and first error as by one, in the same order, and nothing is left running. */
import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { carried, carriedRow } from '../../src/data/carried-row.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { type Making, type Prepared, type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { prepareAnswers } from '../../src/data/prepare-answers.ts'
import { requireCompiled } from '../../src/data/row-threads.ts'
import type { TextRow, TextWork } from '../../src/data/row-work.ts'
import type { Row } from '../../src/data/rows.ts'
import { type MadeRow, sideBySide } from '../../src/data/rows-made.ts'
import { runnableThreads } from '../../src/devices/threads.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { ggufTokenizer } from '../../src/formats/gguf/tokenizer.ts'
import { stringifyJson } from '../../src/formats/json.ts'
import { parseExactly } from '../../src/hub/json-exact.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { makingOf } from '../../src/train/making.ts'
import { filesOf, tokenizerOf } from '../text/fixtures.ts'
import { pairs } from './as-trl.ts'

const tokenizer = tokenizerOf('smollm-like')
const work: TextWork = {
  kind: 'texts',
  shape: 'text',
  settings: { textField: 'text', completionOnlyLoss: false, assistantOnlyLoss: false, now: new Date(0) },
  responses: null,
}
const request = (rows: readonly Row[], threads: number, more: object = {}) => ({
  length: rows.length,
  given: (i: number) => ({ row: rows[i]!, where: `row ${i + 1}` }),
  work,
  tokenizer,
  threads,
  signal: undefined,
  onProgress: () => {},
  onFailure: () => {},
  ...more,
})
const texts = (n: number): Row[] => Array.from({ length: n }, (_, i) => ({ text: `${i} ${'the cat sat on the mat. '.repeat(i % 37)}` }))
async function all<T>(made: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const one of made) list.push(one)
  return list
}
/** long lists are compared as bytes */
const bytes = (list: readonly MadeRow<TextRow>[]) =>
  list.map(({ i, where, made: { ids, targets, ...rest } }) => [
    i,
    where,
    rest,
    hash('sha256', Buffer.from(ids.buffer)),
    hash('sha256', targets),
  ])
/** threads that are there, whoever started them */
const workers = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort' || name === 'Worker').length

let before = 0
beforeAll(() => {
  before = workers()
})
afterAll(() => expect(workers()).toBe(before))
afterEach(() => vi.restoreAllMocks())

/** The same, whose threads are told what `recipe` says. */
function toldOtherwise(recipe: object): Tokenizer {
  const other = new Tokenizer(filesOf('smollm-like'))
  Object.defineProperty(other, 'recipe', { value: { ...tokenizer.recipe, ...recipe } })
  return other
}

describe('side by side', () => {
  const rows: Row[] = [...texts(700), { text: 'a cat '.repeat(180_000) }, { text: new Date(0) as never }, ...texts(700)]
  rows[701] = { text: 'dated', date: new Date(0) }

  it('gives what one thread gives, in order: long rows, and rows that JSON has no word for, too', async () => {
    const one = await all(sideBySide(request(rows, 1)))
    const heard = vi.spyOn(Worker.prototype, 'emit')
    const given = vi.spyOn(Worker.prototype, 'postMessage')
    const several: MadeRow<TextRow>[] = []
    for await (const row of sideBySide(request(rows, 3))) {
      several.push(row)
      // whoever takes rows waits for the threads, so that they have some to make
      const ready = () => heard.mock.calls.filter(([, message]) => (message as unknown) === 'ready').length
      if (several.length === 1) await vi.waitFor(() => expect(ready()).toBe(2), 20_000)
    }
    expect(given.mock.calls.length).toBeGreaterThan(2)
    expect(bytes(several)).toEqual(bytes(one))
    expect(one.map(({ i }) => i)).toEqual([...rows.keys()])
    expect(one[0]!.made.ids).toEqual(Int32Array.from(tokenizer.encode('0 <|im_end|>')))
  }, 30_000)

  it('takes a GGUF file’s tokenizer, whose tokens lie otherwise once they are JSON', async () => {
    const path = join(import.meta.dirname, '../fixtures/formats/tokenizer-smollm.gguf')
    const of = (threads: number, onFailure: (why: string) => void = () => {}) =>
      sideBySide(request(texts(2000), threads, { tokenizer: new Tokenizer(ggufTokenizer(readGguf(path), path)!), onFailure }))
    const heard = vi.spyOn(Worker.prototype, 'emit')
    const failures: string[] = []
    const several: MadeRow<TextRow>[] = []
    for await (const row of of(2, (why) => failures.push(why))) {
      several.push(row)
      const begun = () => failures.length > 0 || heard.mock.calls.some(([, message]) => (message as unknown) === 'ready')
      if (several.length === 1) await vi.waitFor(() => expect(begun()).toBe(true), 20_000)
    }
    expect(failures).toEqual([])
    expect(bytes(several)).toEqual(bytes(await all(of(1))))
  }, 30_000)

  it('throws the error of the first row that can’t be made, whatever was made beyond it', async () => {
    for (const [bad, more, message] of [
      [{ text: 7 }, {}, /^row 500: /],
      [{ text: 'half \ud83d' }, {}, /^row 500 holds half of a surrogate pair/],
    ] as const) {
      const list = texts(900)
      list[499] = bad as Row
      list[640] = { text: null as never }
      const made: number[] = []
      const run = async () => {
        for await (const { i } of sideBySide(request(list, 3, more))) made.push(i)
      }
      await expect(run()).rejects.toThrow(message)
      expect(made).toEqual([...Array(499).keys()])
    }
  }, 30_000)

  it('tells what is wrong with a row before it is made in its turn', async () => {
    const list = texts(900)
    list[499] = { text: 7 as never }
    const given = (i: number) => {
      if (i === 520) throw new Error('row 521: seen')
      return { row: list[i]!, where: `row ${i + 1}` }
    }
    await expect(all(sideBySide(request(list, 2, { given })))).rejects.toThrow(/^row 500: /)
    list[499] = { text: 'seven' }
    await expect(all(sideBySide(request(list, 2, { given })))).rejects.toThrow('row 521: seen')
  }, 30_000)

  it('ends at once when it is aborted, while threads start and while they work', async () => {
    for (const after of [1, 400]) {
      const stop = new AbortController()
      const run = async () => {
        let n = 0
        for await (const _ of sideBySide(request(texts(20_000), 2, { signal: stop.signal }))) if (++n === after) stop.abort()
      }
      await expect(run()).rejects.toThrow('aborted')
    }
  }, 30_000)

  it('makes the rows of threads that can’t work by itself, and says why', async () => {
    const failures: string[] = []
    const list = texts(300)
    const made: unknown[] = []
    const told = { tokenizer: toldOtherwise({ special: {} }), onFailure: (why: string) => failures.push(why) }
    for await (const row of sideBySide(request(list, 2, told))) {
      made.push(row)
      if (made.length === 1) await vi.waitFor(() => expect(failures).toHaveLength(1), 20_000)
    }
    expect(made.length).toBe(list.length)
    expect(failures).toEqual(['its tokenizer is another one'])
  }, 30_000)

  it('makes the rows of threads that can’t start by itself, says why, and leaves nothing behind', async () => {
    const failures: string[] = []
    const stop = new AbortController()
    const taken = vi.spyOn(stop.signal, 'removeEventListener')
    // what no thread can be started with
    const told = {
      tokenizer: toldOtherwise({ special: { of: () => 0 } }),
      signal: stop.signal,
      onFailure: (why: string) => failures.push(why),
    }
    const made = await all(sideBySide(request(texts(300), 3, told)))
    expect(made.length).toBe(300)
    expect(failures).toHaveLength(2)
    expect(failures[0]).toMatch(/could not be cloned/)
    expect(taken).toHaveBeenCalledOnce()
  })

  it('refuses to run what was compiled before it was changed', () => {
    const folder = mkdtempSync(join(tmpdir(), 'saqr-compiled-'))
    try {
      const sources = pathToFileURL(`${folder}/src/`)
      const stamp = pathToFileURL(join(folder, 'stamp'))
      mkdirSync(join(folder, 'src', 'data'), { recursive: true })
      const source = join(folder, 'src', 'data', 'rows.ts')
      writeFileSync(source, '')
      const why = /^dist\/ is older than src\/ \(.*rows\.ts\), .*: run node tools\/ready\.mjs$/
      expect(() => requireCompiled(sources, stamp)).toThrow(why)
      writeFileSync(stamp, '')
      utimesSync(source, 100, 100)
      utimesSync(stamp, 101, 101)
      requireCompiled(sources, stamp)
      utimesSync(source, 102, 102)
      expect(() => requireCompiled(sources, stamp)).toThrow(why)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('rows as they go to another thread', () => {
  const exact = (row: Row) => stringifyJson(row, { ascii: false })

  it('come back with all that is known of them', () => {
    for (const text of [
      '{"a": 20.0, "b": 12345678901234567890, "2": 1, "1": [1.5, -0.0, 1e20, NaN]}',
      '{"t": "\\ud800 \\u0000 é", "n": null, "l": [["x"], {}, true]}',
      '{"b": "x", "10": "y", "2": "z"}',
    ]) {
      const row = parseExactly(text) as Row
      const back = carriedRow(structuredClone(carried(row)!.as))
      expect(back).toEqual(row)
      expect(exact(back)).toBe(exact(row))
    }
  })

  it('stay where a copy would be something else', () => {
    for (const value of [new Date(0), undefined, -0, 1e20, 5n, new Map(), () => 1, [{ deep: undefined }]])
      expect(carried({ value })).toBe(null)
  })
})

describe('prepared', () => {
  const long = Array.from({ length: 300 }, (_, i) => ({
    text: `${i} ${'the cat sat on the mat, and said: “why?” '.repeat(5 + (i % 7))}`,
  }))
  /** threads from the first row on, and how many there were */
  const watched = (making: Making) => {
    const seen = { threads: 0 }
    const onProgress = () => {
      seen.threads = Math.max(seen.threads, workers() - before)
    }
    return { seen, making: { ...making, atOnce: true, onProgress } }
  }

  it('is the same by any number of threads: packed texts that a function made', async () => {
    const options: PrepareOptions = { maxLength: 300, packing: true, formattingFunc: ({ text }: Row) => `¿${text}` }
    const one = await prepare(new Dataset(long), tokenizer, options)
    const { seen, making } = watched({ threads: 3 })
    expect(await prepare(new Dataset(long), tokenizer, { ...options, making })).toEqual(one)
    expect(seen.threads).toBeGreaterThan(0)
  }, 30_000)

  it('is the same: pairs', async () => {
    const list = long.map(({ text }, i) => ({ prompt: text.slice(0, 100), chosen: ` ${i}`, rejected: text.slice(100) }))
    const settings = { maxLength: 256, truncationMode: 'keep_start' } as const
    const one = await prepareAnswers(new Dataset(list), tokenizer, pairs, settings)
    const { seen, making } = watched({ threads: 3 })
    expect(await prepareAnswers(new Dataset(list), tokenizer, pairs, { ...settings, making })).toEqual(one)
    expect(seen.threads).toBeGreaterThan(0)
  }, 30_000)

  it('is by one thread, or as many as datasetNumProc says and can run, which is told where it is fewer', async () => {
    const most = Math.min(8, runnableThreads())
    expect(makingOf({ cacheRows: false, datasetNumProc: null })).toEqual({ cache: false, threads: 1 })
    expect(makingOf({ cacheRows: true, datasetNumProc: most })).toEqual({ cache: true, threads: most })
    const one = await prepare(new Dataset(long, 'cats'), tokenizer)
    const { seen, making } = watched(makingOf({ cacheRows: false, datasetNumProc: 1000 }))
    const { notes, ...several } = await prepare(new Dataset(long, 'cats'), tokenizer, { making })
    expect({ ...several, notes: notes.slice(0, -1) }).toEqual(one)
    expect(notes.at(-1)).toMatch(new RegExp(`^cats: rows are prepared by ${most} threads? and not by 1000: `))
    expect(seen.threads > 0).toBe(most > 1)
  }, 30_000)

  it('keeps what was told of threads with no rows', async () => {
    const home = mkdtempSync(join(tmpdir(), 'saqr-threads-'))
    vi.stubEnv('HF_HOME', home)
    try {
      const list = texts(3_000)
      const run = () => {
        const { making } = watched({ ...makingOf({ cacheRows: true, datasetNumProc: 1000 }), threads: 3 })
        return prepare(new Dataset(list, 'cats'), toldOtherwise({ special: { of: () => 0 } }), { maxLength: 64, making })
      }
      const first = await run()
      const ofThreads = ({ notes }: Prepared) => notes.filter((note) => /^cats: (rows are prepared by|a thread)/.test(note))
      // each once
      expect(ofThreads(first)).toEqual([
        expect.stringMatching(/and not by 1000/),
        expect.stringMatching(/^cats: a thread that prepares rows ended \(.*could not be cloned/),
      ])
      const found = await run()
      expect(found.notes.at(-1)).toMatch(/prepared before, taken from/)
      expect(ofThreads(found)).toEqual([])
    } finally {
      vi.unstubAllEnvs()
      rmSync(home, { recursive: true })
    }
  }, 30_000)
})
