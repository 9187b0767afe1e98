/** Which steps a reference scores rows in: each row where the run first comes to it, whatever it goes on from. */
import { describe, expect, it } from 'vitest'
import { Sampler } from '../../src/data/sampler.ts'
import { firstSteps } from '../../src/train/reference.ts'

const samplerOf = (rows: number, batchSize: number, rest: { dropLast?: boolean; strategy?: string } = {}) =>
  new Sampler({ rows, batchSize, accumulationSteps: 2, seed: 7, ...rest })

/** the definition, by sets */
function defined(sampler: Sampler, rows: number, done: number, until: number): { steps: number[][][]; rows: number } {
  const first = new Map<number, number>()
  const left = new Set<number>()
  const coming = new Set<number>()
  for (let step = 0; step < until && coming.size < rows; step++) {
    for (const i of sampler.batches(step).flat()) {
      if (!first.has(i)) first.set(i, step)
      if (step < done) continue
      coming.add(i)
      left.add(first.get(i)!)
    }
  }
  const steps = [...left].sort((a, b) => a - b).map((step) => sampler.batches(step))
  return { steps, rows: new Set(steps.flat(2)).size }
}

describe('a row is scored in the step that the whole run first comes to it in', () => {
  it.each([
    [11, 2, 0, 20, {}],
    [11, 2, 0, 1, {}],
    [11, 2, 2, 5, {}],
    [11, 2, 4, 5, { dropLast: true }],
    [23, 3, 7, 30, { dropLast: true }],
    [23, 3, 5, 6, { strategy: 'sequential' }],
    [1, 1, 0, 3, {}],
    [9, 2, 3, 3, {}],
  ])('%i rows, %i a batch, from step %i to %i, %o', async (rows, batchSize, done, until, rest) => {
    const expected = defined(samplerOf(rows, batchSize, rest), rows, done, until)
    const sampler = samplerOf(rows, batchSize, rest)
    const found = await firstSteps({ examples: { length: rows }, sampler }, { done, until }, undefined)
    expect([...found.batches()]).toEqual(expected.steps)
    expect(found.rows).toBe(expected.rows)
  })
})

it('others have their turn while millions are gone through, and it is stopped', async () => {
  const rows = 1_000_000
  const run = { examples: { length: rows }, sampler: samplerOf(rows, 4, { strategy: 'sequential' }) }
  const stop = new AbortController()
  setTimeout(() => stop.abort(new Error('enough')), 0)
  await expect(firstSteps(run, { done: 0, until: rows }, stop.signal)).rejects.toThrow('enough')
})
