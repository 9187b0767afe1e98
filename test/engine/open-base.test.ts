/** What a folder opens as: a GGUF file with the tokenizer beside it, an adapter beside its base. */
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { openBase } from '../../src/engine/open-base.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { saveMerged } from '../../src/export/merged.ts'
import { ggufBytes, llama, text, texts } from '../formats/gguf-writer.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-open-'))
afterAll(() => rmSync(work, { recursive: true }))
const fixture = join(import.meta.dirname, '../fixtures/training/linear-warmup')
const tokenizer = join(fixture, 'model/tokenizer.json')
const choice = () => ({ dtype: 'f32', loadIn4bit: false, doubleQuant: false }) as const

it.each([
  ['none', {}, /m\.gguf has no tokenizer: put tokenizer\.json/],
  ['of another kind', { 'tokenizer.ggml.model': text('bert'), 'tokenizer.ggml.tokens': texts(['a']) }, /bert.*put tokenizer\.json/],
])('%s', async (_, more, message) => {
  const metadata = Object.fromEntries(Object.entries(llama).filter(([key]) => !key.startsWith('tokenizer.')))
  const folder = mkdtempSync(join(work, 'model-'))
  const path = join(folder, 'm.gguf')
  const embedding = { name: 'token_embd.weight', dimensions: [32, 10], type: 0, data: new Uint8Array(1280) }
  writeFileSync(path, ggufBytes({ metadata: { ...metadata, ...more }, tensors: [embedding] }))
  const device = new CpuDevice({ threads: 1 })
  try {
    await expect(openBase(path, device, { choice })).rejects.toMatchObject({
      code: 'MODEL_TOKENIZER',
      message: expect.stringMatching(message),
    })
    copyFileSync(tokenizer, join(folder, 'tokenizer.json'))
    expect((await openBase(path, device, { choice })).tokenizer.encode('a')).not.toEqual([])
  } finally {
    device.dispose()
  }
})

it('an adapter in the folder of its base opens over the weights beside it, as PEFT has it', async () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const folder = mkdtempSync(join(work, 'both-'))
    cpSync(join(fixture, 'model'), folder, { recursive: true })
    cpSync(join(fixture, 'adapter'), folder, { recursive: true })
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: folder }))
    const found = await openBase(folder, device, { choice })
    expect(found.adapter).toBe(folder)
    const language = loadAdapter(found.opened, folder)
    expect(language.trainables.names.length).toBeGreaterThan(0)
    // whole models are not saved where they would be read again as something else
    await expect(saveMerged(language, folder)).rejects.toThrow(/is the folder of the model that is open/)
    const apart = mkdtempSync(join(work, 'adapter-'))
    await saveTrained(language, apart)
    await expect(saveMerged(language, apart)).rejects.toThrow(/holds an adapter \(adapter_config\.json\), which would be opened instead/)
  } finally {
    device.dispose()
  }
})
