/** What a device and a model refuse before anything is computed with the wrong weights. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

const fixture = (name: string) => openCheckpoint(join(import.meta.dirname, '../fixtures/training', name, 'model'))
const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const

const path = (name: string) => join(import.meta.dirname, '../fixtures/training', name, 'model')

it('a device holds one model at a time: the second is refused by name until the first is disposed of', async () => {
  const device = new CpuDevice({ threads: 1 })
  const options = { device, dtype: 'f32', loadIn4bit: false } as const
  const bytes = () => device.resident().store
  try {
    const { model } = await FastLanguageModel.fromPretrained(path('linear-warmup'), options)
    const adapter = FastLanguageModel.getPeftModel(model, { r: 4 })
    await expect(FastLanguageModel.fromPretrained(path('evaluation'), options)).rejects.toMatchObject({
      code: 'DEVICE_TAKEN',
      message: expect.stringMatching(/weights of .*linear-warmup.*evaluation/),
    })
    await model.dispose()
    await expect(adapter.generate('a').next()).rejects.toThrow('disposed')
    const second = await FastLanguageModel.fromPretrained(path('evaluation'), options)
    await FastLanguageModel.getPeftModel(second.model, { r: 4 }).dispose()
    await second.model.dispose()
    await adapter.dispose()
    expect(bytes()).toBe(0)
  } finally {
    device.dispose()
  }
})

it('opening that fails leaves the device free', async () => {
  const device = new CpuDevice({ threads: 1 })
  const options = { device, dtype: 'f32', loadIn4bit: false } as const
  try {
    const adapter = join(path('linear-warmup'), '../adapter')
    await expect(FastLanguageModel.fromPretrained(adapter, options)).rejects.toThrow()
    const { model } = await FastLanguageModel.fromPretrained(path('evaluation'), options)
    await model.dispose()
  } finally {
    device.dispose()
  }
})

it.each([
  [['q_pro'], 'did you mean q_proj?'],
  [['zzz'], 'it has v_proj, q_proj, k_proj, o_proj, gate_proj, up_proj, down_proj'],
])('target_modules %j match nothing', (targetModules, hint) => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, fixture('linear-warmup'), choice)
    const config = loraConfig({ targetModules })
    expect(() => new LanguageModel(opened, { kind: 'lora', config }, 0)).toThrow(
      expect.objectContaining({ code: 'OPTION_MODULES', message: expect.stringContaining(hint) }),
    )
  } finally {
    device.dispose()
  }
})
