/** Ten optimizer steps against TRL's preference trainers in f32, as recorded by tools/oracle/preference.py: every number they log. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { offOfRun } from './preference-case.ts'

const root = join(import.meta.dirname, '../fixtures/preference')

const mixture = join(import.meta.dirname, '../fixtures/preference-mixture')

async function expectAlike(name: string, args: Record<string, unknown>, of = root): Promise<void> {
  const found = await offOfRun(of, name, args)
  expect(found.length).toBeGreaterThan(100)
  for (const { what, off, allowed } of found) expect(off, what).toBeLessThanOrEqual(allowed)
}

it.each(readdirSync(join(root, 'runs')))('%s', (name) => expectAlike(name, {}))

// the balance loss of experts is of micro-batches as a whole
it.each(readdirSync(join(mixture, 'runs')))('a mixture, %s', (name) => expectAlike(name, {}, mixture))

// a pair holds 300 tokens at most; a micro-batch of two, which aot needs whole, 600
describe.each([{ prefixSharing: false }, { maxPassTokens: 320 }, { maxPassTokens: 320, prefixSharing: false }])(
  'whatever the cut, %o',
  (args) => {
    it.each(['sigmoid.json', 'evaluated.json', 'mixture.json', 'ld-alpha.json'])('%s', (name) => expectAlike(name, args))
    it('orpo-accumulated.json', () => expectAlike('orpo-accumulated.json', args))
    // a micro-batch of two rated answers, each with a neighbour's
    it('kto-accumulated.json', () =>
      expectAlike('kto-accumulated.json', { ...args, ...('maxPassTokens' in args ? { maxPassTokens: 640 } : {}) }))
    it('aot-smoothed.json', () => expectAlike('aot-smoothed.json', { ...args, ...('maxPassTokens' in args ? { maxPassTokens: 640 } : {}) }))
  },
)
