/** What a device and a model refuse before anything is computed with the wrong weights. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenModel } from '../../src/engine/open-model.ts'
import { openCheckpoint } from '../../src/formats/checkpoint.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'

const fixture = (name: string) => openCheckpoint(join(import.meta.dirname, '../fixtures/training', name, 'model'))
const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const

it('a device holds one model: the second is refused by name', () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    new OpenModel(device, fixture('linear-warmup'), choice)
    expect(() => new OpenModel(device, fixture('evaluation'), choice)).toThrow(
      expect.objectContaining({ code: 'DEVICE_TAKEN', message: expect.stringMatching(/weights of .*linear-warmup.*evaluation/) }),
    )
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
    const open = new OpenModel(device, fixture('linear-warmup'), choice)
    const config = loraConfig({ targetModules })
    expect(() => new LanguageModel(open, { kind: 'lora', config }, 0)).toThrow(
      expect.objectContaining({ code: 'OPTION_MODULES', message: expect.stringContaining(hint) }),
    )
  } finally {
    device.dispose()
  }
})
