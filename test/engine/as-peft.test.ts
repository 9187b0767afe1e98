/** What is saved is PEFT's own file, byte for byte: adapters that its save_pretrained wrote (tools/oracle/families.py), opened and saved by what programs save with. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { adaptedBase } from '../../src/engine/adapted-base.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { readAdapter } from '../../src/formats/peft/read.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

const root = join(import.meta.dirname, '../fixtures/families')
const cases = readdirSync(root).filter((name) => existsSync(join(root, name, 'adapter')))
/** a bias beside lora_B: read, refused before it is computed with */
const REFUSED = 'lora-lora-bias'
const work = mkdtempSync(join(tmpdir(), 'saqr-as-peft-'))
afterAll(() => rmSync(work, { recursive: true }))

describe('an adapter of PEFT, opened and saved', () => {
  it.each(cases)('%s is read, and written again byte for byte', async (name) => {
    const folder = join(root, name, 'adapter')
    const device = new ReferenceDevice()
    try {
      const checkpoint = adaptedBase(openCheckpoint(join(root, name, 'model')), readAdapter(folder), folder)
      const opened = new OpenedModel(device, checkpoint, { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
      if (name === REFUSED) return expect(() => loadAdapter(opened, folder)).toThrow(/lora_bias .* is not supported/)
      await saveTrained(loadAdapter(opened, folder), join(work, name))
      for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
        expect([file, readFileSync(join(work, name, file)).equals(readFileSync(join(folder, file)))]).toEqual([file, true])
    } finally {
      device.dispose()
    }
  })
})
