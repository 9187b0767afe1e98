/** Data sets in shares: as many rows of each as TRL 1.16's get_dataset takes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import { loadMixture, mixtureOf } from '../../src/data/load-mixture.ts'

let folder = ''
const at = (name: string) => join(folder, name)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-mix-'))
  const lines = (name: string, n: number) =>
    Array.from({ length: n }, (_, i) => `${JSON.stringify({ text: `${name}${i}`, id: i })}\n`).join('')
  writeFileSync(at('a.jsonl'), lines('a', 7))
  writeFileSync(at('b.jsonl'), lines('b', 11))
})
afterAll(() => rmSync(folder, { recursive: true }))

const rows = (n: number, name: number) => new Dataset(Array.from({ length: n }, (_, i) => ({ text: `${name}:${i}` })))

/** lengths, shares, and the rows of each that TRL's get_dataset gave */
const recorded: [number[], number[], number[]][] = [
  [
    [7, 11],
    [1, 1],
    [7, 7],
  ],
  [
    [10, 10, 10],
    [0.5, 0.25, 0.25],
    [10, 5, 5],
  ],
  [
    [5, 9],
    [3, 1],
    [5, 2],
  ],
  [
    [4, 100],
    [0, 1],
    [0, 100],
  ],
  [
    [13, 17, 19],
    [0.3, 0.3, 0.4],
    [13, 13, 17],
  ],
  [
    [1, 1000],
    [0.999, 0.001],
    [1, 0],
  ],
  [
    [25, 15],
    [0.1, 0.1],
    [15, 15],
  ],
  [
    [38, 35],
    [0.131, 0.917],
    [5, 35],
  ],
  [
    [41, 38, 5, 39],
    [0.013999999999999999, 0.838, 0.26, 0.23500000000000001],
    [0, 16, 5, 5],
  ],
  [
    [35, 54, 36, 31],
    [0.398, 0.862, 0.233, 0.153],
    [25, 54, 15, 10],
  ],
  [
    [48, 1, 43, 50],
    [0.065, 0.759, 0.592, 0.302],
    [0, 1, 1, 0],
  ],
  [[53], [0.867], [53]],
  [
    [39, 47, 59, 57],
    [0.389, 0.789, 0.428, 0.729],
    [23, 47, 25, 43],
  ],
]

describe('Dataset.mix', () => {
  it.each(recorded)('%j in %j', (lengths, shares, taken) => {
    const mixed = Dataset.mix(lengths.map(rows), shares)
    expect(mixed.rows.map(({ text }) => text)).toEqual(taken.flatMap((n, i) => rows(n, i).rows.map(({ text }) => text)))
  })

  it('takes shares that are shares, one for each', () => {
    const two = [rows(2, 0), rows(2, 1)]
    for (const wrong of [[1], [0, 0], [1, -1], [1, Number.NaN], [1, Number.POSITIVE_INFINITY], ['1', 1]])
      expect(() => Dataset.mix(two, wrong as number[])).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  })
})

describe('a mixture by TRL’s keys', () => {
  const load = async (...entries: Record<string, unknown>[]) => (await loadMixture(mixtureOf(entries), {})).rows

  it('is whole data sets one after another, or shares of them', async () => {
    expect(await load({ path: at('a.jsonl') }, { path: at('b.jsonl'), split: 'train[-2:]', fraction: null })).toHaveLength(9)
    const mixed = await load(
      { path: 'json', data_files: at('a.jsonl'), fraction: 1 },
      { path: folder, data_dir: '.', columns: ['text'], fraction: 1 },
    )
    expect(mixed).toHaveLength(14)
    expect(Object.keys(mixed[0]!)).toEqual(['text', 'id'])
    expect(Object.keys(mixed[13]!)).toEqual(['text'])
  })

  it.each([
    [[{}], 'datasets, entry 1 has no path'],
    [[{ path: 'a' }, { path: 'b', fractoin: 1 }], 'datasets, entry 2: fractoin is not one of path, name'],
    [[{ path: 'a', fraction: 1 }, { path: 'b' }], 'datasets: fraction is given of 1 of 2: give it of all, or of none'],
    [[{ path: 'a', fraction: -1 }], 'entry 1: fraction must be a share of at least 0, not -1'],
    [[{ path: 'a', columns: 'text' }], 'entry 1: columns must be a list of columns, not "text"'],
  ])('%j', (entries, message) => expect(() => mixtureOf(entries)).toThrow(message))

  it('names what a data set has not', async () => {
    await expect(load({ path: at('a.jsonl'), columns: ['txt'] })).rejects.toThrow('has no column txt')
    await expect(load({ path: at('a.jsonl'), data_dir: 'x' })).rejects.toThrow('data_dir x is of a folder here')
    await expect(load({ path: at('c.jsonl') })).rejects.toThrow(expect.objectContaining({ code: 'FORMAT_NOT_FOUND' }))
  })
})
