/** Before a run all examples are gone through once, and whoever wants to leave meanwhile is heard. */
import { expect, it } from 'vitest'
import type { Example } from '../../src/data/example.ts'
import { lazyList } from '../../src/data/lazy-list.ts'
import type { Model } from '../../src/models/family.ts'
import { surveyOf } from '../../src/train/survey.ts'

const model = { vocab: 100, maxPositions: 64 } as Model
const example = (...ids: number[]): Example => ({
  ids: Int32Array.from(ids),
  targets: Uint8Array.from(ids, () => 1),
  row: 1,
  source: 'rows',
})

it('tells what is in them', async () => {
  const packed = { ...example(1, 2, 3, 4, 5), starts: Int32Array.of(0, 3) }
  const looked = await surveyOf([packed, example(7, 8)], model, undefined)
  // nothing predicts the first token of a sequence
  expect([looked.tokens, looked.targets]).toEqual([7, 4])
  expect(looked.sizes.bounds(2)).toEqual({ longest: 3, stepTokens: 7 })
  const others = [[example(7, 8), packed], [example(1, 2, 3, 4, 5), example(7, 8)], [packed]]
  for (const list of others) expect((await surveyOf(list, model, undefined)).digest).not.toBe(looked.digest)
  await expect(surveyOf([packed, example(100)], model, undefined)).rejects.toThrow(/has the token id 100/)
})

it('ends in the middle of millions', async () => {
  let seen = 0
  const millions = lazyList(5_000_000, () => {
    seen++
    return example(1, 2)
  })
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('enough')), 50) // is called where others have their turn
  await expect(surveyOf(millions, model, stop.signal)).rejects.toThrow('enough')
  expect(seen).toBeLessThan(millions.length)
})
