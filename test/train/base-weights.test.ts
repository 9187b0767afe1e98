/** The digest of a base beside a run's first steps: what of it can fail, and what a run that is stopped waits for. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { digestOfBase } from '../../src/engine/digest.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { BaseWeights } from '../../src/train/base-weights.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-base-'))
afterAll(() => rmSync(work, { recursive: true }))
afterEach(() => void vi.useRealTimers())
const model = join(import.meta.dirname, '../fixtures/training/evaluation/model')

it('is that of all values, begun before or when it is asked for', async () => {
  const digest = await digestOfBase(openCheckpoint(model))
  const weights = new BaseWeights(openCheckpoint(model))
  weights.begin()
  expect(await weights.digest()).toEqual({ digest })
  expect(await new BaseWeights(openCheckpoint(model)).digest()).toEqual({ digest })
  // a run that is stopped has it too, where there is no more to wait for
  expect(await new BaseWeights(openCheckpoint(model)).digest(AbortSignal.abort())).toEqual({ digest })
})

it('says why it isn’t there: files that were written to meanwhile, or a run that has ended', async () => {
  const cut = join(work, 'cut')
  cpSync(model, cut, { recursive: true })
  const checkpoint = openCheckpoint(cut)
  writeFileSync(join(cut, 'model.safetensors'), readFileSync(join(cut, 'model.safetensors')).subarray(0, 2000))
  expect(await new BaseWeights(checkpoint).digest()).toEqual({
    why: expect.stringContaining('was written to or replaced since it was opened'),
  })
  const ended = new BaseWeights(openCheckpoint(model))
  ended.begin()
  ended.stop()
  expect(await ended.digest()).toEqual({ why: 'the run has ended' })
})

it('is not waited for without end by a run that is stopped', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const stop = new AbortController()
  const late = new BaseWeights(openCheckpoint(model), () => new Promise(() => {})).digest(stop.signal) // a disk that doesn’t answer
  stop.abort()
  await vi.advanceTimersByTimeAsync(5000)
  expect(await late).toEqual({ why: expect.stringContaining('stopped') })
})
