/** Training on rows that stay on disk is training on those rows: the same losses, the same checkpoints, resumed at the same row. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { DPOTrainer } from '../../src/train/dpo-trainer.ts'
import { KTOTrainer } from '../../src/train/kto-trainer.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { ORPOTrainer } from '../../src/train/orpo-trainer.ts'
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

describe('answers from disk', () => {
  const root = join(import.meta.dirname, '../fixtures/preference')
  const beside = new CpuDevice({ threads: 1 })
  afterAll(() => beside.dispose())
  const model = new OpenedModel(beside, openCheckpoint(join(root, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
  const pairs = readFileSync(join(root, 'pairs.jsonl'), 'utf8').trimEnd().split('\n')
  const half = pairs.length >> 1
  const files = [join(work, 'a.jsonl.gz'), join(work, 'b.json')]
  writeFileSync(files[0]!, gzipSync(pairs.slice(0, half).join('\n')))
  writeFileSync(files[1]!, `[${pairs.slice(half).join(',')}]`)

  async function trained(Trainer: typeof DPOTrainer | typeof KTOTrainer | typeof ORPOTrainer, streaming: boolean, args: object = {}) {
    const language = loadAdapter(model, join(root, 'adapter'))
    const trainer = new Trainer({
      model: { language },
      processingClass: new Tokenizer(model.checkpoint.tokenizer!),
      trainDataset: await loadDataset('json', { dataFiles: files, streaming }),
      evalDataset: await loadDataset(join(root, 'pairs.jsonl'), { split: 'train[:5]', streaming }),
      args: {
        ...{
          perDeviceTrainBatchSize: 4,
          learningRate: 2e-3,
          maxSteps: 6,
          saveSteps: 4,
          loggingSteps: 1,
          evalStrategy: 'steps',
          evalSteps: 3,
        },
        outputDir: join(work, `${Trainer.name}-${streaming}`),
        ...args,
      } as never,
    })
    const heard: object[] = []
    for await (const event of trainer.stream())
      if (event.type === 'log') heard.push([event.step, event.loss, event.gradNorm, event.metrics])
      else if (event.type === 'eval') heard.push([event.step, event.evalLoss, event.metrics])
    return { heard, weights: language.trainables.names.map((name) => [...language.trainables.get(name)]) }
  }

  it.each([[DPOTrainer], [KTOTrainer], [ORPOTrainer]])('%o: to the bit', async (Trainer) => {
    const ours = await trained(Trainer, true)
    expect(ours).toEqual(await trained(Trainer, false))
    expect(ours.heard).toHaveLength(8)
    rmSync(join(work, `${Trainer.name}-false`, 'checkpoint-6'), { recursive: true })
    // begun in memory, gone on with from disk
    const resumed = await trained(Trainer, true, { outputDir: join(work, `${Trainer.name}-false`), resumeFromCheckpoint: true })
    expect(resumed).toEqual({ heard: ours.heard.slice(5), weights: ours.weights })
  })
})
