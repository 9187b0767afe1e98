/** A device that fails in mid-run: the error says step and cause and what there is to go on from; what was saved is whole. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { PassInputs, RunItem, RunOptions } from '../../src/devices/device.ts'
import { SaqrError } from '../../src/error.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-lost-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'rows.jsonl'), tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

/** fails at the nth optimizer step; where it is lost, nothing can be read from it any more either */
class Failing extends CpuDevice {
  left = Number.POSITIVE_INFINITY
  lost = false
  code = 'DEVICE_CUDA_LOST'

  override run(items: readonly RunItem[], inputs: PassInputs, options?: RunOptions): Promise<Uint8Array[]> {
    if (items[0]?.segment === 'optimizer' && --this.left <= 0) {
      this.lost = this.code === 'DEVICE_CUDA_LOST'
      return Promise.reject(new SaqrError(this.code, 'adamw of parameters (1 × 8 f32 -> 1 × 8 f32): no card'))
    }
    return super.run(items, inputs, options)
  }

  override readStore(name: string, byteOffset?: number, bytes?: number): Uint8Array {
    if (this.lost) throw new SaqrError(this.code, 'no card')
    return super.readStore(name, byteOffset, bytes)
  }
}

async function train(device: Failing, out: string, args: object, failAt = Number.POSITIVE_INFINITY) {
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  const peft = FastLanguageModel.getPeftModel(model, { r: 4 })
  try {
    device.left = failAt
    const options = { outputDir: join(folder, out), maxSteps: 6, ...args }
    const trainDataset = await loadDataset(join(folder, 'rows.jsonl'))
    return await new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, args: options, report: 'none' }).train()
  } finally {
    await peft.dispose()
    await model.dispose()
    device.dispose()
  }
}

const rescued = () => readdirSync(tmpdir()).filter((name) => name.startsWith('saqr-rescued-'))

it('lost between two checkpoints: the last one is named, and goes on to the same end', async () => {
  const before = rescued()
  const steps = { saveSteps: 2, saveStrategy: 'steps' as const }
  await train(new Failing({ threads: 1 }), 'whole', steps)
  const checkpoint = join(folder, 'out', 'checkpoint-2')
  await expect(train(new Failing({ threads: 1 }), 'out', steps, 4)).rejects.toMatchObject({
    code: 'DEVICE_CUDA_LOST',
    option: 'resumeFromCheckpoint',
    message: `step 4: adamw of parameters (1 × 8 f32 -> 1 × 8 f32): no card The last checkpoint is whole: go on from there with resumeFromCheckpoint ${checkpoint}.`,
  })
  expect(rescued()).toEqual(before)
  expect(readdirSync(join(folder, 'out')).filter((name) => name.startsWith('checkpoint'))).toEqual(['checkpoint-2'])
  await train(new Failing({ threads: 1 }), 'out', { ...steps, resumeFromCheckpoint: checkpoint })
  const trained = (run: string) => readFileSync(join(folder, run, 'checkpoint-6', 'adapter_model.safetensors'))
  expect(trained('out').equals(trained('whole'))).toBe(true)
})

it('lost before any was written: that is said', async () => {
  await expect(train(new Failing({ threads: 1 }), 'none', { saveStrategy: 'no' }, 3)).rejects.toMatchObject({
    code: 'DEVICE_CUDA_LOST',
    message: expect.stringMatching(/^step 3: .* No checkpoint had been written: saveSteps says/),
  })
  expect(existsSync(join(folder, 'none', 'checkpoint-2'))).toBe(false)
})

it('a device that refused one call gives the last finished step back', async () => {
  const device = new Failing({ threads: 1 })
  device.code = 'MEMORY_REFUSED'
  await expect(train(device, 'refused', { saveStrategy: 'no' }, 3)).rejects.toMatchObject({
    code: 'MEMORY_REFUSED',
    message: expect.stringMatching(/^step 3: .* The last checkpoint is whole: .*checkpoint-2\.$/),
  })
  expect(existsSync(join(folder, 'refused', 'checkpoint-2'))).toBe(true)
})

it('a budget above what the device has is refused with what it has', async () => {
  class Small extends Failing {
    override describe() {
      return { ...super.describe(), memory: 8e9 }
    }
  }
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device: new Small({ threads: 1 }) })
  const trainDataset = await loadDataset(join(folder, 'rows.jsonl'))
  const args = { outputDir: join(folder, 'large'), maxSteps: 1 }
  const peft = FastLanguageModel.getPeftModel(model, { r: 4 })
  const run = (memory: string) =>
    new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, args, memory, report: 'none' }).train()
  await expect(run('9GB')).rejects.toMatchObject({
    code: 'MEMORY_BUDGET',
    message: '9GB of memory are more than the 8GB that the device has. Give memory 8GB or less, or leave it out to take what is free.',
  })
  expect((await run('8GB')).globalStep).toBe(1)
  await peft.dispose()
  await model.dispose()
})
