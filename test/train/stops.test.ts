/** Ways a run can end before its last step: nothing that was learned is lost, nothing that is no number is kept. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { Optimizer } from '../../src/engine/optimizer.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

const folder = join(import.meta.dirname, '../fixtures/training/linear-warmup')
const work = mkdtempSync(join(tmpdir(), 'saqr-stops-'))
const device = new CpuDevice({ threads: 1 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})
const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
const ADAMW = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, momentum: 0, nesterov: false, rule: 'adamw' as const }

async function trainer(name: string, args: SFTConfig = {}) {
  const language = loadAdapter(opened, join(folder, 'adapter'))
  const outputDir = join(work, name)
  const init = {
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(folder, 'train.jsonl')),
    args: { maxSteps: 8, perDeviceTrainBatchSize: 4, learningRate: 1e-3, saveStrategy: 'no' as const, outputDir, ...args },
  }
  return { language, outputDir, run: new SFTTrainer(init) }
}

describe('a run that is left early', () => {
  it('by break keeps the last finished step', async () => {
    const { run, outputDir } = await trainer('break')
    for await (const event of run.stream()) if (event.type === 'step' && event.step === 3) break
    expect(readdirSync(outputDir)).toEqual(['checkpoint-3'])
  })

  it('by abort keeps it and says where', async () => {
    const { run, outputDir } = await trainer('abort')
    const stop = new AbortController()
    let stopped: string | null = null
    for await (const event of run.stream({ signal: stop.signal })) {
      if (event.type === 'step' && event.step === 2) stop.abort()
      if (event.type === 'end') stopped = event.stopped
    }
    expect(stopped).toBe(join(outputDir, 'checkpoint-2'))
  })

  it('by a weight that is no number names the op, and keeps the steps before', async () => {
    const { run, outputDir, language } = await trainer('nan')
    const events = run.stream()
    const poisoned = (async () => {
      for await (const event of events) {
        if (event.type !== 'step' || event.step !== 2) continue
        const [name] = language.trainables.names
        language.trainables.set(name!, language.trainables.get(name!).fill(Number.NaN))
      }
    })()
    await expect(poisoned).rejects.toThrow(/step 3: the loss is no number.*op product of model\.layers\.0\.self_attn\.\w+\.lora_A/)
    expect(readdirSync(outputDir)).toEqual(['checkpoint-2'])
  })
})

it('a gradient that is no number changes no weight and no state', async () => {
  const { language } = await trainer('gradient')
  const { trainables } = language
  const optimizer = new Optimizer(device, trainables.layout, ADAMW)
  const before = trainables.names.map((name) => trainables.get(name))
  device.writeStore(`${trainables.layout.scope}gradients`, new Uint8Array(Float32Array.of(Number.POSITIVE_INFINITY).buffer))
  expect(await optimizer.step(1, 1e-3, 1)).toBe(Number.POSITIVE_INFINITY)
  expect(trainables.names.map((name) => trainables.get(name))).toEqual(before)
  for (const { chunks } of optimizer.state()) for (const bytes of chunks()) expect(bytes.every((b) => b === 0)).toBe(true)
  optimizer.dispose()
})

describe('a resumed run', () => {
  it.each([
    [{ seed: 7 }, /seed 42 there, 7 now/],
    [{ perDeviceTrainBatchSize: 2 }, /perDeviceTrainBatchSize 4 there, 2 now/],
  ] as const)('with %o is refused by name', async (changed, message) => {
    const name = `resume-${Object.keys(changed)[0]}`
    await (await trainer(name, { maxSteps: 2, saveStrategy: 'steps' })).run.train()
    const again = await trainer(name, { maxSteps: 4, resumeFromCheckpoint: true, ...changed })
    await expect(again.run.train()).rejects.toThrow(message)
  })
})

it('optimizer state of another size is refused before anything is written', async () => {
  const { language } = await trainer('state')
  const optimizer = new Optimizer(device, language.trainables.layout, ADAMW)
  expect(() => optimizer.restore(new Map([['adam_m.0', new Uint8Array(8)]]))).toThrow(/adam_m\.0 has 8 bytes/)
  optimizer.dispose()
})

describe('a save that fails', () => {
  it('loses nothing: the checkpoint lies elsewhere, and the run goes on from there', async () => {
    const { run, language, outputDir } = await trainer('unwritable', { saveStrategy: 'steps', saveSteps: 2 })
    const error = await (async () => {
      for await (const event of run.stream()) {
        if (event.type !== 'step' || event.step !== 2) continue
        rmSync(outputDir, { recursive: true })
        writeFileSync(outputDir, 'in the way')
      }
    })().catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: 'FORMAT_FILE', message: expect.stringMatching(/Nothing is lost: .*resumeFromCheckpoint/) })
    const path = / lies in (\S+checkpoint-2)\. /.exec((error as Error).message)![1]!
    const trained = language.trainables.names.map((name) => language.trainables.get(name))
    const again = await trainer('rescued', { resumeFromCheckpoint: path, maxSteps: 8 })
    for await (const event of again.run.stream()) {
      if (event.type !== 'start') continue
      expect(event.doneSteps).toBe(2)
      expect(again.language.trainables.names.map((name) => again.language.trainables.get(name))).toEqual(trained)
    }
    rmSync(join(path, '..'), { recursive: true })
  })
})
