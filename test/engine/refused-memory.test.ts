/** Memory that a device refuses: what was there before still runs, what failed halfway leaves nothing behind, and nobody waits for ever. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadDataset } from '../../src/data/load.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import type { StoreSpec } from '../../src/devices/device.ts'
import { Turns } from '../../src/devices/turns.ts'
import { SaqrError } from '../../src/error.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { SFTTrainer } from '../../src/train/sft-trainer.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-refused-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'rows.jsonl'), tinyRows())
})
afterAll(() => rmSync(folder, { recursive: true }))

async function answer(device: CpuDevice, prompt: string): Promise<string> {
  const { model } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  let text = ''
  for await (const piece of model.generate(prompt, { maxNewTokens: 6 })) text += piece
  await model.dispose()
  return text
}

it('an arena that can not grow: plans of before run on as they did', async () => {
  const device = new CpuDevice({ threads: 1 })
  const { model } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  const pieces: string[] = []
  for await (const piece of model.generate('the falcon', { maxNewTokens: 6 })) {
    pieces.push(piece)
    expect(() => device.reserve(2 ** 50)).toThrow(expect.objectContaining({ code: 'MEMORY_REFUSED' }))
  }
  await model.dispose()
  expect(pieces.join('')).toBe(await answer(device, 'the falcon'))
  device.dispose()
  expect(() => device.reserve(1)).toThrow(expect.objectContaining({ code: 'DEVICE_DISPOSED' }))
})

/** refuses tensors of a name, until it is told otherwise */
class Refusing extends CpuDevice {
  refused: RegExp | null = null

  override store(name: string, spec: StoreSpec): void {
    if (this.refused?.test(name)) throw new SaqrError('MEMORY_REFUSED', name)
    super.store(name, spec)
  }
}

it.each([/adam_v/, /gradients/])('a start that is refused at %s leaves nothing behind: the next one trains', async (name) => {
  const device = new Refusing({ threads: 1 })
  const { model, tokenizer } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  const start = async () => {
    const args = { outputDir: join(folder, 'out'), maxSteps: 1, saveStrategy: 'no' as const }
    const trainDataset = await loadDataset(join(folder, 'rows.jsonl'))
    const peft = FastLanguageModel.getPeftModel(model, { r: 4 })
    const run = () => new SFTTrainer({ model: peft, processingClass: tokenizer, trainDataset, args, report: 'none' }).train()
    return { peft, run }
  }
  device.refused = name
  const refused = expect.objectContaining({ code: 'MEMORY_REFUSED' })
  if (name.test('gradients')) await expect(start()).rejects.toEqual(refused)
  else {
    const { peft, run } = await start()
    await expect(run()).rejects.toEqual(refused)
    device.refused = null
    expect((await run()).globalStep).toBe(1)
    await peft.dispose()
  }
  device.refused = null
  const { peft, run } = await start()
  expect((await run()).globalStep).toBe(1)
  await peft.dispose()
  await model.dispose()
  expect(device.resident().store).toBe(0)
  device.dispose()
})

it('a key and value cache that is refused halfway is given back whole', async () => {
  const device = new Refusing({ threads: 1 })
  const { model } = await FastLanguageModel.fromPretrained(join(folder, 'model'), { device, dtype: 'f32', loadIn4bit: false })
  const names: string[] = []
  const store = device.store.bind(device)
  const drop = device.drop.bind(device)
  device.store = (name, spec) => {
    store(name, spec)
    names.push(name)
  }
  device.drop = (name) => {
    drop(name)
    names.splice(names.indexOf(name), 1)
  }
  const before = [...names]
  device.refused = /cache.*1/
  await expect(model.generate('a').next()).rejects.toMatchObject({ code: 'MEMORY_REFUSED' })
  expect(names.filter((name) => name.includes('cache'))).toEqual(before.filter((name) => name.includes('cache')))
  device.dispose()
})

it('memory that can not be given back keeps nobody waiting', async () => {
  const turns = new Turns()
  const freed: string[] = []
  const first = turns.take(async () => {
    turns.whenFree(() => {
      throw new Error('lost')
    })
    turns.whenFree(() => freed.push('second'))
  })
  const next = turns.take(async () => 'mine')
  await expect(first).rejects.toThrow('lost')
  expect(await next).toBe('mine')
  expect(freed).toEqual(['second'])
  expect(turns.free).toBe(true)
})
