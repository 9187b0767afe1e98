/** Rows made by several threads: the same examples, notes and first error as by one, in the same order, and nothing is left running. */
import { hash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { carried, carriedRow } from '../../src/data/carried-row.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { prepareAnswers } from '../../src/data/prepare-answers.ts'
import type { TextRow, TextWork } from '../../src/data/row-work.ts'
import type { Row } from '../../src/data/rows.ts'
import { type MadeRow, sideBySide } from '../../src/data/rows-made.ts'
import { stringifyJson } from '../../src/formats/json.ts'
import { parseExactly } from '../../src/hub/json-exact.ts'
import { tokenizerOf } from '../text/fixtures.ts'
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

describe('side by side', () => {
  const rows: Row[] = [...texts(700), { text: 'a cat '.repeat(180_000) }, { text: new Date(0) as never }, ...texts(700)]
  rows[701] = { text: 'dated', date: new Date(0) }

  it('gives what one thread gives, in order: long rows, and rows that JSON has no word for, too', async () => {
    const one = await all(sideBySide(request(rows, 1)))
    expect(bytes(await all(sideBySide(request(rows, 3))))).toEqual(bytes(one))
    expect(one.map(({ i }) => i)).toEqual([...rows.keys()])
    expect(one[0]!.made.ids).toEqual(Int32Array.from(tokenizer.encode('0 <|im_end|>')))
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
    const other = Object.defineProperty(Object.create(tokenizer), 'recipe', {
      get: () => ({ ...tokenizer.recipe, special: {} }),
    })
    Object.defineProperty(other, 'fingerprint', { value: (now: Date) => tokenizer.fingerprint(now) })
    Object.defineProperty(other, 'size', { value: tokenizer.size })
    other.encode = tokenizer.encode.bind(tokenizer)
    Object.defineProperty(other, 'special', { value: tokenizer.special })
    const list = texts(10_000)
    const made = await all(sideBySide(request(list, 2, { tokenizer: other, onFailure: (why: string) => failures.push(why) })))
    expect(made.length).toBe(list.length)
    expect(failures).toEqual(['its tokenizer is another one'])
  }, 60_000)
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

/** long enough for threads to be worth while */
describe('prepared', () => {
  const long = Array.from({ length: 1_500 }, (_, i) => ({
    text: `${i} ${'the cat sat on the mat, and said: “why?” '.repeat(20 + (i % 7))}`,
  }))
  const withThreads = (threads: number) => ({ making: { threads } })

  it('is the same by any number of threads: packed texts that a function made', async () => {
    const options: PrepareOptions = { maxLength: 300, packing: true, formattingFunc: ({ text }: Row) => `¿${text}` }
    const one = await prepare(new Dataset(long), tokenizer, options)
    expect(await prepare(new Dataset(long), tokenizer, { ...options, ...withThreads(3) })).toEqual(one)
  }, 120_000)

  it('is the same: pairs', async () => {
    const list = long.slice(0, 1_500).map(({ text }, i) => ({ prompt: text.slice(0, 300), chosen: ` ${i}`, rejected: text.slice(300) }))
    const settings = { maxLength: 256, truncationMode: 'keep_start' } as const
    const one = await prepareAnswers(new Dataset(list), tokenizer, pairs, settings)
    expect(await prepareAnswers(new Dataset(list), tokenizer, pairs, { ...settings, ...withThreads(3) })).toEqual(one)
  }, 120_000)
})
