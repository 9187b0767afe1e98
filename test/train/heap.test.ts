/** The heap is collected before the first step where memory is asked for or rows stay on disk, and not where nobody asks: a collection takes time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { collectGarbage } from '../../src/engine/heap.ts'
import { FastLanguageModel, loadDataset, type PretrainedModel, SFTTrainer, type SFTTrainerInit } from '../../src/index.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

vi.mock('../../src/engine/heap.ts', () => ({ collectGarbage: vi.fn() }))

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
beforeEach(() => {
  vi.mocked(collectGarbage).mockClear()
})

it.each<[string, Partial<SFTTrainerInit>, boolean, number]>([
  ['a budget', { memory: '1GB' }, false, 1],
  ['rows that stay on disk', {}, true, 1],
  ['neither', {}, false, 0],
])('%s', async (name, init, streaming, times) => {
  const trainer = new SFTTrainer({
    model: FastLanguageModel.getPeftModel(base, { r: 2 }),
    trainDataset: await loadDataset(join(work, 'rows.jsonl'), { streaming }),
    report: 'none',
    args: { maxSteps: 1, outputDir: join(work, name), saveStrategy: 'no' },
    ...init,
  })
  for await (const event of trainer.stream()) if (event.type === 'start') break
  expect(collectGarbage).toHaveBeenCalledTimes(times)
})
