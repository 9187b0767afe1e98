import { expect, it } from 'vitest'
import { Counts } from '../../src/data/counts.ts'
import { KEY_BYTES, lengthsOf, Repeats } from '../../src/data/lengths.ts'

it('says how long rows are, every row in one bin', () => {
  const all = [...Array.from({ length: 198 }, (_, i) => 100 + i), 9000, 40_000]
  const { total, shortest, median, p95, longest, histogram } = lengthsOf(Counts.of(all))
  expect({ total, shortest, median, p95, longest }).toEqual({
    total: all.reduce((a, b) => a + b, 0),
    shortest: 100,
    median: 199,
    p95: 289,
    longest: 40_000,
  })
  for (const { from, to, rows, longest } of histogram) {
    const those = all.filter((n) => n >= from && n < (to ?? Number.POSITIVE_INFINITY))
    expect(those).toHaveLength(rows)
    expect(longest).toBe(Math.max(0, ...those))
  }
  expect(histogram.reduce((sum, { rows }) => sum + rows, 0)).toBe(200)
  // two long rows leave the others apart
  expect(histogram.length).toBeGreaterThan(8)
  expect(histogram.at(-1)).toMatchObject({ to: null, rows: 2 })
})

it.each([[[5, 5]], [[0]], [[1, 2, 3]], [[0, 1_000_000]]])('%j has bins too', (all) => {
  const { histogram } = lengthsOf(Counts.of(all))
  expect(histogram.reduce((sum, { rows }) => sum + rows, 0)).toBe(all.length)
  expect(histogram[0]!.from).toBeLessThanOrEqual(Math.min(...all))
})

it('finds what was there before', () => {
  const keys = (all: string, fill = 0) => {
    const repeats = new Repeats(all.length)
    return [...all].map((char) => repeats.firstLike(new Uint8Array(KEY_BYTES).fill(fill).fill(char.charCodeAt(0), KEY_BYTES - 1)))
  }
  // keys that begin alike stand in one another's way
  for (const fill of [0, 255]) expect(keys('abacba', fill)).toEqual([-1, -1, 0, -1, 1, 0])
  expect(keys('')).toEqual([])
  expect(keys('a')).toEqual([-1])
})
