/** A recorded case's model, with its adapter where it has one, on a device of its own in f32. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

export async function withModel(folder: string, use: (model: LanguageModel) => Promise<void>): Promise<void> {
  const device = new CpuDevice({ threads: 2 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    const adapter = join(folder, 'adapter')
    await use(existsSync(adapter) ? loadAdapter(opened, adapter) : new LanguageModel(opened, { kind: 'none' }, 0))
  } finally {
    device.dispose()
  }
}
