import { expect, test } from 'vitest'
import { fuzz } from './readers.ts'

// More, or others: SAQR_FUZZ=100000 SAQR_FUZZ_SEED=1 npx vitest run test/formats/fuzz
const inputs = Number(process.env.SAQR_FUZZ ?? 3000)
const seed = Number(process.env.SAQR_FUZZ_SEED ?? 1)

test(`${inputs} broken files: a SaqrError or sound values, quickly and in little memory`, async () => {
  const result = await fuzz(inputs, seed)
  if (inputs > 3000) console.log({ ...result, failures: result.failures.length })
  expect(result.failures).toEqual([])
  // files of at most 80 kB: anything slower or larger would be an allocation that a header asked for (a pause of the machine may take a second)
  expect(result.slowest).toBeLessThan(5)
  expect(result.memory).toBeLessThan(1 << 30)
  // the mutations reach what lies behind the first check
  expect(Object.keys(result.refused).length).toBeGreaterThan(8)
  expect(result.accepted).toBeGreaterThan(inputs / 20)
}, 3_600_000)
