/** Calls that overlap on one device queue and give what they would have given alone; aborts and disposals among them harm nobody else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/dataset.ts'
import type { Device } from '../../src/devices/device.ts'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/fast-language-model.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'
import { setups } from '../ops/devices.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-overlap-'))
const model = join(folder, 'model')
const rows = join(folder, 'rows.jsonl')
beforeAll(async () => {
  await writeTinyModel(model)
  writeFileSync(rows, tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

const devices = [{ name: 'reference', open: (): Device => new ReferenceDevice() }, ...setups().filter(({ sameBits }) => !sameBits)]
const prompts = Array.from({ length: 24 }, (_, i) => 'the falcon flies over'.slice(0, 1 + (i % 9)) + 'x'.repeat(i % 4))

async function answer(of: PretrainedModel, prompt: string, signal?: AbortSignal): Promise<string> {
  let text = ''
  for await (const piece of of.generate(prompt, { maxNewTokens: 6, signal })) text += piece
  return text
}

async function losses(of: PretrainedModel, name: string, signal?: AbortSignal): Promise<number[]> {
  const args = { outputDir: join(folder, name), maxSteps: 4, loggingSteps: 1, learningRate: 1e-2, bf16: false, saveStrategy: 'no' as const }
  const trainer = new SFTTrainer({ model: of, processingClass: of.tokenizer, trainDataset: await loadDataset(rows), args })
  const seen: number[] = []
  for await (const event of trainer.stream({ signal })) if (event.type === 'log') seen.push(event.loss)
  return seen
}

describe.each(devices)('on $name', ({ open }) => {
  const opened = async (device: Device) =>
    (await FastLanguageModel.fromPretrained(model, { device, dtype: 'f32', loadIn4bit: false })).model

  it('tens of answers at once, some stopped on the way, are those given one by one', { timeout: 120_000 }, async () => {
    const device = open()
    try {
      const m = await opened(device)
      const alone = new Map<string, string>()
      for (const prompt of new Set(prompts)) alone.set(prompt, await answer(m, prompt))
      const random = new SeededRandom(7, 'aborts')
      const results = await Promise.allSettled(
        prompts.map((prompt, i) => {
          const stop = new AbortController()
          if (i % 3 === 1) setTimeout(() => stop.abort(new Error('enough')), 60 * random.uniform())
          return answer(m, prompt, stop.signal)
        }),
      )
      results.forEach((result, i) => {
        if (result.status === 'fulfilled') expect(result.value).toBe(alone.get(prompts[i]!))
        else expect([i % 3, result.reason.message]).toEqual([1, 'enough'])
      })
      await m.dispose()
      expect(device.resident().store).toBe(0)
    } finally {
      device.dispose()
    }
  })

  it('training and answering at once give the losses and the answers of each alone', { timeout: 120_000 }, async () => {
    const device = open()
    try {
      const m = await opened(device)
      const adapted = () => FastLanguageModel.getPeftModel(m, { r: 4, randomState: 1 })
      const said = await answer(m, 'the')
      const alone = await losses(adapted(), 'alone')
      expect(alone).toHaveLength(4)
      const [together, stopped, ...answers] = await Promise.all([
        losses(adapted(), 'together'),
        losses(adapted(), 'stopped', AbortSignal.timeout(30)).catch((error: Error) => error.name),
        ...Array.from({ length: 8 }, () => answer(m, 'the')),
      ])
      expect(together).toEqual(alone)
      if (Array.isArray(stopped)) expect(alone.slice(0, stopped.length)).toEqual(stopped)
      expect(new Set(answers)).toEqual(new Set([said]))
    } finally {
      device.dispose()
    }
  })

  it('a model or a device that is disposed of in the middle tells its callers', { timeout: 120_000 }, async () => {
    for (let i = 0; i < 8; i++) {
      const device = open()
      const m = await opened(device)
      const running = prompts.slice(0, 6).map((prompt) => answer(m, prompt))
      await new Promise((resolve) => setTimeout(resolve, 3 * i))
      if (i % 2) device.dispose()
      else await m.dispose()
      for (const result of await Promise.allSettled(running)) {
        if (result.status === 'rejected') expect(result.reason.code).toMatch(/^(MODEL|DEVICE)_DISPOSED$/)
      }
      device.dispose()
      await expect(device.turn(async () => 1)).rejects.toMatchObject({ code: 'DEVICE_DISPOSED' })
    }
  })
})
