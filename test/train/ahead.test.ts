/** On a device that queues runs a step's first pass is begun behind the update before it: nothing that is learned, told or kept is another. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { PassInputs, RunItem, RunOptions } from '../../src/devices/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import type { SFTConfig } from '../../src/train/options/sft.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'

/** It says that it queues runs, and writes down when each is asked for and when it is over. */
class Queueing extends CpuDevice {
  queueing = true
  log: string[] = []

  override describe() {
    return { ...super.describe(), queues: this.queueing }
  }

  override async run(items: readonly RunItem[], inputs: PassInputs, options?: RunOptions): Promise<Uint8Array[]> {
    const name = items[0]!.segment === 'optimizer' ? 'update' : 'pass'
    this.log.push(name)
    const result = await super.run(items, inputs, options)
    this.log.push(`${name} over`)
    return result
  }
}

const folder = join(import.meta.dirname, '../fixtures/training/linear-warmup')
const work = mkdtempSync(join(tmpdir(), 'saqr-queued-'))
const device = new Queueing({ threads: 1 })
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})
beforeEach(() => {
  device.queueing = true
  device.log = []
})
const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })

async function trainer(name: string, args: SFTConfig = {}) {
  const language = loadAdapter(opened, join(folder, 'adapter'))
  const outputDir = join(work, name)
  const trainDataset = await loadDataset(join(folder, 'train.jsonl'))
  const init = {
    model: { language },
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset,
    evalDataset: trainDataset.select([0, 1, 2, 3, 4]),
    args: { maxSteps: 8, perDeviceTrainBatchSize: 4, learningRate: 1e-3, saveStrategy: 'no' as const, outputDir, ...args },
  }
  return { outputDir, run: new SFTTrainer(init) }
}

/** what a run said and left behind, but for what the clock says */
async function outcome(name: string, args: SFTConfig, until = Number.POSITIVE_INFINITY) {
  const { run, outputDir } = await trainer(name, args)
  const events: unknown[] = []
  for await (const event of run.stream()) {
    if (event.type === 'step') events.push([event.step, event.loss])
    if (event.type === 'log') events.push([event.step, event.loss, event.gradNorm, event.learningRate])
    if (event.type === 'eval') events.push([event.step, event.evalLoss, event.evalNumTokens])
    if (event.type === 'step' && event.step === until) break
  }
  const kept = readdirSync(outputDir).filter((file) => file.startsWith('checkpoint-'))
  const digests = kept.map((checkpoint) => [
    checkpoint,
    ...['adapter_model.safetensors', 'optimizer.safetensors'].map((file) =>
      createHash('sha1')
        .update(readFileSync(join(outputDir, checkpoint, file)))
        .digest('hex'),
    ),
  ])
  return { events, digests }
}

describe('the same bits, events and checkpoints as on one that does not queue', () => {
  it.each<[string, SFTConfig, number?]>([
    ['logs', { loggingSteps: 1 }],
    ['passes', { loggingSteps: 2, gradientAccumulationSteps: 3, maxPassTokens: 64, saveStrategy: 'steps', saveSteps: 4 }],
    [
      'evaluations',
      { loggingSteps: 1, evalStrategy: 'steps', evalSteps: 3, perDeviceEvalBatchSize: 2, saveStrategy: 'steps', saveSteps: 2 },
    ],
    ['left', { loggingSteps: 1 }, 3],
  ])('%s', async (name, args, until) => {
    device.queueing = false
    const plain = await outcome(`${name}-plain`, args, until)
    device.queueing = true
    expect(await outcome(name, args, until)).toEqual(plain)
  })
})

it('the next step’s first pass is asked for before the update is over, but not before a save', async () => {
  const { run } = await trainer('order', { maxSteps: 3, saveStrategy: 'steps', saveSteps: 2 })
  await run.train()
  const passes = device.log.filter((line) => line === 'pass').length
  expect(passes).toBe(3)
  expect(device.log).toEqual([
    ...['pass', 'pass over', 'update', 'pass', 'update over', 'pass over', 'update', 'update over'], // steps 1 and 2, then a save
    ...['pass', 'pass over', 'update', 'update over'],
  ])
})

it('a pass that was begun for a step that does not come leaves nothing to the next run', async () => {
  const first = await outcome('again-1', { loggingSteps: 1 }, 3)
  const second = await outcome('again-2', { loggingSteps: 1 }, 3)
  expect(second).toEqual(first)
})
