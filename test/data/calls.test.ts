/** map, filter, shuffle, select and trainTestSplit, as `datasets` has them (recorded by tools/oracle/dataset_calls.py). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import type { Row } from '../../src/data/rows.ts'
import { camel } from '../../src/train/options/field.ts'

interface Calls {
  rows: Row[]
  shuffle: Record<string, number[]>
  split: { options: Record<string, number | boolean>; parts: { train: number[]; test: number[] } }[]
  [call: string]: unknown
}
const right = JSON.parse(readFileSync(new URL('../fixtures/dataset-calls/calls.json', import.meta.url), 'utf8')) as Calls
const base = new Dataset(right.rows, 'rows.jsonl', { unit: 'line' })
const numbers = (dataset: Dataset) => dataset.rows.map((row) => row.n)
const upper = (row: Row) => String(row.text).toUpperCase()

describe('as datasets', () => {
  it.each(Object.entries(right.shuffle))('shuffles with seed %s', (seed, order) => {
    expect(numbers(base.shuffle({ seed: Number(seed) }))).toEqual(order)
  })

  it.each(right.split)('splits by $options', ({ options, parts }) => {
    const given = Object.fromEntries(Object.entries(options).map(([name, value]) => [camel(name), value]))
    const { train, test } = base.trainTestSplit(given)
    expect({ train: numbers(train), test: numbers(test) }).toEqual(parts)
  })

  it.each<[string, () => Dataset]>([
    ['select', () => base.select([3, 0, 22, 3])],
    ['filter', () => base.filter((row, i) => Number(row.n) % 5 === 0 || i === 1)],
    ['map', () => base.map((row) => ({ long: String(row.text).length, text: upper(row) }))],
    ['removed', () => base.map(({ text }) => ({ text: `${text}!` }), { removeColumns: ['n', 'text'] })],
    ['batched', () => base.map(({ n }) => ({ m: n!.map((one) => 2 * Number(one)) }), { batched: true, batchSize: 7 })],
    [
      'words',
      () =>
        base.map(({ text }) => ({ word: text!.flatMap((one) => String(one).split(' ')) }), {
          batched: true,
          batchSize: 10,
          removeColumns: ['n', 'text'],
        }),
    ],
  ])('%s', (call, made) => {
    expect(made().rows).toEqual(right[call])
  })
})

it('rows keep the name of the place they came from', () => {
  expect(base.select([4, 2]).where(0)).toBe('rows.jsonl, line 5')
  expect(
    base
      .shuffle({ seed: 1 })
      .map((row) => ({ n: -Number(row.n) }))
      .where(0),
  ).toBe(`rows.jsonl, line ${1 + right.shuffle['1']![0]!}`)
  expect(
    Dataset.join([base.take(1), new Dataset([{ n: 1 }])])
      .filter(() => true)
      .where(1),
  ).toBe('rows, row 1')
})

it('columns go and are renamed', () => {
  expect(base.removeColumns('text').columns).toEqual(['n'])
  expect(base.selectColumns(['text']).columns).toEqual(['text'])
  expect(base.renameColumn('text', 'prompt').columnNames).toEqual(['n', 'prompt'])
  expect(() => base.removeColumns('txt')).toThrow(/rows\.jsonl has no column txt; it has n, text/)
})

it.each<[string, () => unknown, RegExp]>([
  [
    'a promise',
    () => base.map((async () => ({})) as never),
    /line 1: the function given to map must return an object of columns, not a promise/,
  ],
  [
    'no list in a batch',
    () => base.map(() => ({ a: 1 }) as never, { batched: true }),
    /must return a list for each column of a batch, not 1/,
  ],
  [
    'other lengths',
    () => base.map(() => ({ a: [1] }), { batched: true }),
    /different lengths \(n 23, text 23, a 1\): name those .* removeColumns/,
  ],
  ['its own error', () => base.map((row) => ({ a: (row.gone as string).length })), /line 1: the function given to map failed: .*undefined/],
  ['an unknown option', () => base.map(() => ({}), { batchsize: 3 } as never), /map has no option batchsize: did you mean batchSize\?/],
  ['a wrong row', () => base.select([23]), /select: there is no row 23 in 23 rows/],
  ['too many rows', () => base.trainTestSplit({ testSize: 24 }), /23 rows can't be parted into -1 to train on and 24/],
  ['a seed alone', () => base.shuffle(3 as never), /shuffle takes its seed as \{ seed: 3 \}/],
  ['rows that are none', () => new Dataset([1] as never), /rows, row 1: a row is an object from column to value, not 1/],
])('says what is wrong with %s', (_, call, message) => {
  expect(call).toThrow(message)
})
