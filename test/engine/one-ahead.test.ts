/** Work in order, each piece begun while the one before it is under way. */
import { expect, it } from 'vitest'
import { oneAhead } from '../../src/engine/one-ahead.ts'

/** work that ends when told, and what was under way at each moment */
function work() {
  const under = new Set<number>()
  let most = 0
  const ends: (() => void)[] = []
  const begin = async (n: number) => {
    under.add(n)
    most = Math.max(most, under.size)
    await new Promise<void>((resolve) => (ends[n] = resolve))
    under.delete(n)
    if (n === 3) throw new Error('the third')
    return 10 * n
  }
  return { begin, ends, under, most: () => most }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

it.each([
  [true, 2],
  [false, 1],
])('ahead %s: %i under way at most, results in order, an error where it belongs', async (ahead, most) => {
  const one = work()
  const seen: [number, number][] = []
  const all = (async () => {
    for await (const pair of oneAhead([1, 2, 3, 4], one.begin, ahead)) seen.push(pair)
  })()
  all.catch(() => {})
  for (let i = 1; i <= 4; i++) {
    await settle()
    one.ends[i]?.()
  }
  await expect(all).rejects.toThrow('the third')
  expect(seen).toEqual([[1, 10], [2, 20]]) // biome-ignore format: pairs
  expect(one.most()).toBe(most)
})

it('who stops waits for what was begun', async () => {
  const one = work()
  let left = false
  const some = (async () => {
    for await (const _ of oneAhead([1, 2, 4], one.begin, true)) break
    left = true
  })()
  await settle()
  one.ends[1]!()
  await settle()
  expect([left, [...one.under]]).toEqual([false, [2]])
  one.ends[2]!()
  await some
  expect(left).toBe(true)
})

it('a piece that fails while the one before it is under way is told when its turn comes', async () => {
  let resolve = (_: string) => {}
  const first = new Promise<string>((done) => (resolve = done))
  const begin = (n: number) => (n === 1 ? first : Promise.reject(new Error('early')))
  const seen: unknown[] = []
  const all = (async () => {
    for await (const pair of oneAhead([1, 2], begin, true)) seen.push(pair)
  })()
  all.catch(() => {})
  await settle()
  resolve('fine')
  await expect(all).rejects.toThrow('early')
  expect(seen).toEqual([[1, 'fine']])
})
