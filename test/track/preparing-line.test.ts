import { expect, it } from 'vitest'
import { preparingLine } from '../../src/track/preparing-line.ts'

function drawn(isTTY: boolean, done: readonly [number, number][]): string[] {
  const written: string[] = []
  let now = 0
  const line = preparingLine({ write: (text) => written.push(text), isTTY }, () => now)
  for (const [at, rows] of done) {
    now = at
    line({ source: 'a.jsonl', done: rows, total: 9000 })
  }
  return written
}

it('is drawn where preparing takes a while, ten times a second, and goes at the end', () => {
  const line = (n: string) => `\r\x1b[2Kpreparing a.jsonl: ${n} of 9,000 rows`
  const steps: [number, number][] = [
    [0, 1],
    [0.4, 1000],
    [0.6, 2000],
    [0.65, 2500],
    [0.8, 3000],
    [1, 9000],
  ]
  expect(drawn(true, steps)).toEqual([line('2,000'), line('3,000'), '\r\x1b[2K'])
  expect(
    drawn(true, [
      [0, 1],
      [0.1, 9000],
    ]),
  ).toEqual([])
  expect(drawn(false, steps)).toEqual([])
})
