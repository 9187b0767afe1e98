/** What a saved model's JSON files say: what the base's said, as it said it. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { writeModelFolder } from '../../src/engine/model-folder.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'

// transformers 5 refuses a config.json with 1 where it declares a float: "expected float, got int"
it('floats without a fraction stay floats, integers integers, keys in their places', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-'))
  const device = new CpuDevice({ threads: 1 })
  try {
    const [base, out] = [join(folder, 'base'), join(folder, 'out')]
    cpSync(join(import.meta.dirname, '../fixtures/training/linear-warmup/model'), base, { recursive: true })
    const edit = (file: string, change: (text: string) => string) =>
      writeFileSync(join(base, file), change(readFileSync(join(base, file), 'utf8')))
    edit('config.json', (text) => text.replace(/"initializer_range": [\d.]+/, '"initializer_range": 1.0'))
    edit('config.json', (text) => text.replace('"rope_theta": 10000.0', '"rope_theta": 1e4'))
    edit('tokenizer_config.json', (text) => text.replace('{', '{ "of_another_tool": { "7": 12345678901234567890, "5": 2.0 },'))
    writeFileSync(join(base, 'generation_config.json'), '{ "temperature": 1.0, "top_k": 50, "eos_token_id": 2 }')
    const checkpoint = openCheckpoint(base)
    const opened = new OpenedModel(device, checkpoint, { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    await writeModelFolder(opened, out, () => null)
    const text = (file: string) => readFileSync(join(out, file), 'utf8')
    expect(text('config.json')).toContain('"initializer_range": 1.0,')
    expect(text('config.json')).toContain('"rope_theta": 10000.0,')
    expect(text('config.json')).toMatch(/"hidden_size": \d+,/)
    expect(Object.keys(JSON.parse(text('config.json')))).toEqual(Object.keys(checkpoint.config))
    expect(text('generation_config.json')).toBe('{\n  "temperature": 1.0,\n  "top_k": 50,\n  "eos_token_id": 2\n}\n')
    expect(text('tokenizer_config.json')).toContain('"7": 12345678901234567890,\n    "5": 2.0\n')
  } finally {
    device.dispose()
    rmSync(folder, { recursive: true })
  }
})
