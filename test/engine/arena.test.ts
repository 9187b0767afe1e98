/** The one arena that a device's plans share: what a run reserved isn't held against the budget of the next. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-arena-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'rows.jsonl'), tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

it('a smaller run after a larger one has an arena of its size, and what was generating goes on', async () => {
  const device = new CpuDevice({ threads: 1 })
  const open = () => FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  const trainDataset = await loadDataset(join(folder, 'rows.jsonl'))
  const arenaAfter = async (rows: number) => {
    const { model, tokenizer } = await open()
    const args = { outputDir: join(folder, 'out'), maxSteps: 1, saveStrategy: 'no' as const, perDeviceTrainBatchSize: rows }
    const peft = FastLanguageModel.getPeftModel(model, { r: 4 })
    await new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, report: 'none', args }).train()
    const { arena } = device.resident()
    await model.dispose()
    return arena
  }
  const alone = await arenaAfter(1)
  const large = await arenaAfter(8)
  expect(large).toBeGreaterThan(2 * alone)
  // what is resident is counted in pages
  expect(await arenaAfter(1)).toBeLessThanOrEqual(alone + 4096)

  const { model } = await open()
  const answer = async (between: () => void) => {
    let text = ''
    for await (const piece of model.generate('the falcon', { maxNewTokens: 6 })) {
      text += piece
      between()
    }
    return text
  }
  const undisturbed = await answer(() => {})
  let bytes = 2 ** 20
  expect(await answer(() => device.reserve((bytes = bytes > 2 ** 20 ? 0 : 2 ** 22)))).toBe(undisturbed)
  await model.dispose()
  device.dispose()
})
