/** What tokens are drawn from, drawn at random against transformers as it is installed. */
import { expect, it } from 'vitest'
import { off, samplingCases } from '../generate/sampling.ts'
import { oracle } from './oracle.ts'

/** to look for trouble elsewhere, change it: every seed should pass */
const SEED = 20265

it.each([24, 500])('300 distributions over %i tokens', async (vocab) => {
  const cases = samplingCases(await oracle('sampling', '--seed', String(SEED), '--count', '300', '--vocab', String(vocab)))
  expect(cases.filter((one) => !(off(one) < 1e-6)).slice(0, 2)).toEqual([])
  expect(cases.length).toBe(300)
})
