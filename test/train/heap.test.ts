/** The heap is collected before the first step where memory is asked for or rows stay on disk, and not where nobody asks: a collection takes time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel, loadDataset, type PretrainedModel, SFTTrainer, type SFTTrainerInit } from '../../src/index.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

let work = ''
let base: PretrainedModel
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'saqr-heap-'))
  await writeTinyModel(join(work, 'model'))
  writeFileSync(join(work, 'rows.jsonl'), tinyRows())
  ;({ model: base } = await FastLanguageModel.fromPretrained(join(work, 'model'), { device: 'cpu', loadIn4bit: false }))
})
afterAll(async () => {
  await base.dispose()
  rmSync(work, { recursive: true })
})
it.each<[string, Partial<SFTTrainerInit>, boolean, boolean]>([
  ['a budget', { memory: '1GB' }, false, true],
  ['rows that stay on disk', {}, true, true],
  ['neither', {}, false, false],
])('%s', async (name, init, streaming, asked) => {
  const trainer = new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2 }),
    trainDataset: await loadDataset(join(work, 'rows.jsonl'), { streaming }),
    report: 'none',
    args: { maxSteps: 1, outputDir: join(work, name), saveStrategy: 'no' },
    ...init,
  })
  let forced = 0
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as unknown as { detail: { flags: number } }[])
      if (detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) forced++
  })
  observer.observe({ entryTypes: ['gc'] })
  for await (const event of trainer.stream()) if (event.type === 'start') break
  await wait(100) // entries come in their own turn
  observer.disconnect()
  expect(forced > 0).toBe(asked)
})
