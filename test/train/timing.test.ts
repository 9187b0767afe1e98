/** Logs, evaluations and checkpoints come when TRL's come, with its numbers, as recorded by tools/oracle/timing.py. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { differ, happens, timingCases } from './timing.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-timing-'))
const device = new CpuDevice({ threads: 2 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})

const COMMON = new Set(['per_device_train_batch_size', 'per_device_eval_batch_size', 'learning_rate', 'seed', 'max_length'])
const cases = timingCases(join(import.meta.dirname, '../fixtures/timing')).map((one, i) => {
  const told = Object.entries(one.args).filter(([key]) => !COMMON.has(key))
  return [`${one.rows} rows, ${JSON.stringify(Object.fromEntries(told))}`, one, join(work, String(i))] as const
})

it.each(cases)('%s', async (_, one, outputDir) => {
  expect(differ(await happens(device, one, outputDir), one)).toEqual([])
})
