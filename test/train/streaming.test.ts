/** Training on rows that stay on disk is training on those rows: the same losses, the same checkpoints, resumed at the same row. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

const folder = join(import.meta.dirname, '../fixtures/training/evaluation')
const work = mkdtempSync(join(tmpdir(), 'saqr-streaming-'))
vi.stubEnv('HF_HOME', join(work, 'home'))
const device = new CpuDevice({ threads: 1 })
afterAll(() => {
  vi.unstubAllEnvs()
  device.dispose()
  rmSync(work, { recursive: true })
})
const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })

async function trained(name: string, streaming: boolean, args: SFTConfig = {}) {
  const trainer = new SFTTrainer({
    model: { language: loadAdapter(opened, join(folder, 'adapter')) },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset: await loadDataset(join(folder, 'train.jsonl'), { streaming }),
    evalDataset: await loadDataset(join(folder, 'eval.jsonl'), { streaming }),
    args: {
      ...{
        perDeviceTrainBatchSize: 3,
        learningRate: 1e-3,
        maxSteps: 8,
        saveSteps: 4,
        loggingSteps: 1,
        evalStrategy: 'steps',
        evalSteps: 4,
      },
      outputDir: join(work, name),
      ...args,
    },
  })
  const heard = []
  for await (const event of trainer.stream()) {
    if (event.type === 'start') heard.push({ rows: event.rows, rowTokens: event.rowTokens, computedTokens: event.computedTokens })
    if (event.type === 'log') heard.push({ step: event.step, loss: event.loss, gradNorm: event.gradNorm })
    if (event.type === 'eval') heard.push({ step: event.step, evalLoss: event.evalLoss })
  }
  return heard
}

const adapter = (name: string) => readFileSync(join(work, name, 'checkpoint-8/adapter_model.safetensors'))

it.each<[string, SFTConfig]>([
  ['rows', {}],
  ['packs', { packing: true, maxLength: 64 }],
])('%s: to the bit', async (name, args) => {
  const ours = await trained(`${name}-disk`, true, args)
  expect(ours).toEqual(await trained(`${name}-memory`, false, args))
  expect(ours.length).toBeGreaterThan(10)
  expect(adapter(`${name}-disk`)).toEqual(adapter(`${name}-memory`))
  // a run that was stopped goes on, whether its rows are on disk or not
  rmSync(join(work, `${name}-memory`, 'checkpoint-8'), { recursive: true })
  const resumed = await trained(`${name}-memory`, true, { ...args, resumeFromCheckpoint: true })
  expect(resumed.slice(1)).toEqual(ours.filter((event) => (event.step ?? 0) > 4))
  expect(adapter(`${name}-memory`)).toEqual(adapter(`${name}-disk`))
})
