/** Schedules drawn at random against transformers as it is installed, and when a run logs, evaluates and saves against TRL. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { casesIn, LAST_BITS, ratesOf } from '../train/schedules.ts'
import { differ, happens, timingCases } from '../train/timing.ts'
import { oracle } from './oracle.ts'

/** to look for trouble elsewhere, change it: every seed should pass */
const SEED = 20264

const work = mkdtempSync(join(tmpdir(), 'saqr-timing-'))
const device = new CpuDevice({ threads: 2 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})

it('thousands of rates', async () => {
  const cases = casesIn(await oracle('schedules', '--seed', String(SEED), '--count', '100'))
  const wrong = cases.filter((one) => ratesOf(one).some((rate, i) => !(Math.abs(rate - one.rates[i]!) / one.rate < LAST_BITS)))
  expect(wrong.slice(0, 3), `seed ${SEED}`).toEqual([])
  expect(cases.length).toBeGreaterThan(1000)
})

it('logs, evaluations and checkpoints of thirty runs', async () => {
  const cases = timingCases(await oracle('timing', '--seed', String(SEED)))
  const wrong: unknown[] = []
  for (const [i, one] of cases.entries()) {
    const found = differ(await happens(device, one, join(work, String(i))), one)
    if (found.length > 0) wrong.push(one.args, found)
  }
  expect(wrong, `seed ${SEED}`).toEqual([])
})
