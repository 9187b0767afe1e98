/** Every family's GGUF file as a model to train: adapter and all weights, step for step what the same model in safetensors gives, stopped and gone on with. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { newAdapter } from '../../src/engine/adapter-modules.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { SFTTrainer } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const folder = join(fixtures, 'gguf-families')
const work = mkdtempSync(join(tmpdir(), 'saqr-gguf-train-'))
afterAll(() => rmSync(work, { recursive: true }))
beforeEach(() => void vi.spyOn(console, 'log').mockImplementation(() => {}))
afterEach(() => void vi.restoreAllMocks())

const tokenizer = new Tokenizer(openCheckpoint(join(fixtures, 'training/linear-warmup/model')).tokenizer!)

const CHOICE = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const

/** the losses of four steps, and what is trained after them */
async function trained(path: string, full: boolean, outputDir: string, args: object = {}) {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(path), CHOICE)
    const { vocab, linears } = opened.model
    const spec = full ? ({ kind: 'full' } as const) : newAdapter(loraConfig({ r: 4, targetModules: [...linears] }), opened.model)
    const language = new LanguageModel(opened, spec, 7)
    const row = (n: number, from: number) => ({ input_ids: Array.from({ length: n }, (_, i) => 3 + ((from + i * 7) % (vocab - 3))) })
    const trainDataset = [row(21, 0), row(9, 5), row(30, 11), row(14, 2), row(26, 8), row(17, 3)]
    const steps = { maxSteps: 4, saveSteps: 2, learningRate: 1e-2, perDeviceTrainBatchSize: 2, loggingSteps: 1, maxLength: 40 }
    const trainer = new SFTTrainer({
      model: { language },
      processingClass: tokenizer,
      trainDataset,
      args: { ...steps, outputDir, ...args },
    })
    const losses: number[] = []
    for await (const event of trainer.stream()) if (event.type === 'log') losses.push(event.loss)
    const file = full ? 'model.safetensors' : 'adapter_model.safetensors'
    return { losses, bytes: readFileSync(join(outputDir, 'checkpoint-4', file)) }
  } finally {
    device.dispose()
  }
}

/** the same model as a folder of safetensors */
async function asFolder(path: string): Promise<string> {
  const device = new CpuDevice({ threads: 1 })
  const out = mkdtempSync(join(work, 'folder-'))
  await saveTrained(new LanguageModel(new OpenedModel(device, openCheckpoint(path), CHOICE), { kind: 'none' }, 0), out)
  device.dispose()
  return out
}

it.each(readdirSync(folder).filter((name) => name.endsWith('.gguf')))('%s', async (name) => {
  const path = join(folder, name)
  const other = await asFolder(path)
  for (const full of [false, true]) {
    const at = (what: string) => join(work, `${name}-${full}-${what}`)
    const ours = await trained(path, full, at('gguf'))
    expect(ours.losses).toHaveLength(4)
    expect(ours.losses.at(-1)).not.toBe(ours.losses[0])
    const theirs = await trained(other, full, at('folder'))
    expect(ours.losses).toEqual(theirs.losses)
    const again = await trained(path, full, at('again'), { resumeFromCheckpoint: join(at('gguf'), 'checkpoint-2') })
    expect(again.bytes.equals(ours.bytes)).toBe(true)
  }
})
