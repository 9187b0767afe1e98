/** Where records lie: as they were added, whatever is asked for first. */
import { expect, test } from 'vitest'
import { Spans } from '../../src/data/spans.ts'

const random = (seed: number) => () => (seed = (seed * 48271) % 2147483647) / 2147483647

test('records are found again in any order, with their numbers', () => {
  const draw = random(7)
  const spans = new Spans()
  const kept: [number, number, number][] = []
  let at = 0
  let number = 0
  // more than one chunk of 2^18 bytes
  for (let i = 0; i < 120_000; i++) {
    const from = at + (draw() < 0.2 ? Math.floor(draw() * 300) : 1)
    at = from + Math.floor(draw() * (draw() < 0.001 ? 2 ** 33 : 2000)) // beyond 2^32, too
    number += draw() < 0.1 ? 1 + Math.floor(draw() * 1000) : 1
    spans.add(from, at, number)
    kept.push([from, at, number])
  }
  expect(spans.length).toBe(kept.length)
  const look = (i: number) => [...spans.at(i), spans.numberOf(i)]
  for (const i of kept.keys()) if (String(look(i)) !== String(kept[i])) expect([i, look(i)]).toEqual([i, kept[i]])
  for (let k = 0; k < 50_000; k++) {
    const i = Math.floor(draw() * kept.length)
    if (String(look(i)) !== String(kept[i])) expect([i, look(i)]).toEqual([i, kept[i]])
  }
})

test('without numbers records are called 1, 2, 3', () => {
  const spans = new Spans()
  for (let i = 0; i < 100; i++) spans.add(10 * i, 10 * i + 4)
  expect([spans.numberOf(0), spans.numberOf(99), spans.at(50)]).toEqual([1, 100, [500, 504]])
})
