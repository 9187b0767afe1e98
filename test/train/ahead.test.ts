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
import type { TrainerCallback } from '../../src/train/callbacks.ts'
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

async function trainer(
  name: string,
  args: SFTConfig = {},
  language = loadAdapter(opened, join(folder, 'adapter')),
  callbacks: TrainerCallback[] = [],
) {
  const outputDir = join(work, name)
  const trainDataset = await loadDataset(join(folder, 'train.jsonl'))
  const init = {
    model: { language },
    callbacks,
    processingClass: new Tokenizer(opened.checkpoint.tokenizer!),
    trainDataset,
    evalDataset: trainDataset.select([0, 1, 2, 3, 4]),
    args: { maxSteps: 8, perDeviceTrainBatchSize: 4, learningRate: 1e-3, saveStrategy: 'no' as const, outputDir, ...args },
  }
  return { outputDir, language, run: new SFTTrainer(init) }
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
  const args = { loggingSteps: 1, learningRate: 0 }
  const losses = async (run: SFTTrainer, until: number) => {
    const seen: unknown[] = []
    for await (const event of run.stream()) {
      if (event.type === 'log') seen.push([event.loss, event.gradNorm])
      if (event.type === 'log' && event.step === until) break
    }
    return seen
  }
  const first = await trainer('again-1', args)
  const whole = await losses(first.run, 3)
  // the same adapter, whose weights a rate of 0 left as they were
  const second = await trainer('again-2', args, first.language)
  expect(await losses(second.run, 3)).toEqual(whole)
})

it('nothing is begun once a callback said that the run ends', async () => {
  const ends: TrainerCallback = (event, control) => {
    if (event.type === 'step' && event.step === 2) control.shouldTrainingStop = true
  }
  const { run } = await trainer('ended', { maxSteps: 6 }, undefined, [ends])
  await run.train()
  // the third pass was begun behind the second update, before the callback was asked
  expect(device.log.filter((line) => line === 'pass').length).toBe(3)
  expect(device.log.filter((line) => line === 'update').length).toBe(2)
})

it('weights that are written between two steps count from the very next, as on one that does not queue', async () => {
  const norms = async (name: string) => {
    const { run, language } = await trainer(name, { loggingSteps: 1, maxSteps: 4 })
    const seen: unknown[] = []
    for await (const event of run.stream()) {
      if (event.type === 'log') seen.push([event.loss, event.gradNorm])
      if (event.type !== 'step' || event.step !== 2) continue
      // the pass that was begun is over: its gradients are of the weights before
      while (device.queueing && device.log.at(-1) !== 'pass over') await new Promise((resolve) => setImmediate(resolve))
      const { trainables } = language
      const values = trainables.get(trainables.names[0]!)
      trainables.set(trainables.names[0]!, values.map((x) => 3 * x)) // biome-ignore format: a line
    }
    return seen
  }
  device.queueing = false
  const plain = await norms('written-plain')
  device.queueing = true
  expect(await norms('written')).toEqual(plain)
})
