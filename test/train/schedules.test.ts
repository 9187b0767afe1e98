/** Learning rates against transformers' own schedulers, as recorded by tools/oracle/schedules.py. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SCHEDULES, scheduleOf } from '../../src/train/schedule/schedule.ts'
import { casesIn, LAST_BITS, ratesOf } from './schedules.ts'

const folder = join(import.meta.dirname, '../fixtures/schedules')
const cases = casesIn(folder)

describe.each(SCHEDULES)('%s', (type) => {
  it('has the rates of transformers', () => {
    const own = cases.filter((one) => one.type === type)
    expect(own.length).toBeGreaterThan(5)
    for (const one of own) {
      const rates = ratesOf(one)
      expect(rates.length).toBe(one.rates.length)
      const off = rates.map((rate, i) => Math.abs(rate - one.rates[i]!) / one.rate)
      expect(Math.max(...off), JSON.stringify({ ...one, ours: rates })).toBeLessThan(LAST_BITS)
    }
  })
})

describe('arguments', () => {
  const refused = JSON.parse(readFileSync(join(folder, 'refused.json'), 'utf8')) as { type: string; kwargs: Record<string, unknown> }[]
  it.each(refused.map(({ type, kwargs }) => [type, kwargs] as const))('of %s that transformers refuses are refused: %o', (type, kwargs) => {
    expect(() => scheduleOf({ type, learningRate: 1e-3, warmup: 1, kwargs }, 5)).toThrow(/^lrSchedulerKwargs /)
  })

  it.each([
    ['cosine', { num_cycle: 2 }, /num_cycle, which cosine does not know: did you mean num_cycles\?/],
    ['linear', { num_cycles: 2 }, /num_cycles, which linear does not know: it takes none/],
    ['warmup_stable_decay', { num_decay_steps: 2, num_warmup_steps: 3 }, /num_warmup_steps, which is an option of its own: warmupSteps/],
    ['cosine', { num_cycles: '2' }, /num_cycles must be a number, not "2"/],
    ['warmup_stable_decay', {}, /num_decay_steps is needed/],
    ['warmup_stable_decay', { num_decay_steps: 2.5 }, /num_decay_steps must be a whole number/],
    // transformers passes over them
    ['constant', { num_cycles: 2 }, /num_cycles, which constant does not know/],
    ['inverse_sqrt', { timescale: 0 }, /timescale must be above 0/],
  ] as const)('of %s: %o is told by name', (type, kwargs, message) => {
    expect(() => scheduleOf({ type, learningRate: 1e-3, warmup: 1, kwargs }, 5)).toThrow(message)
  })

  it('are taken in camelCase too', () => {
    const rate = (kwargs: Record<string, unknown>) => scheduleOf({ type: 'cosine', learningRate: 1, warmup: 0, kwargs }, 10).rate(3)
    expect(rate({ numCycles: 2 })).toBe(rate({ num_cycles: 2 }))
  })
})
