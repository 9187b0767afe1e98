/** A tokenizer that a GGUF file lacks is taken from its folder, as the error advises. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { openBase } from '../../src/engine/open-base.ts'
import { ggufBytes, llama, text, texts } from '../formats/gguf-writer.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-open-'))
afterAll(() => rmSync(work, { recursive: true }))
const tokenizer = join(import.meta.dirname, '../fixtures/training/linear-warmup/model/tokenizer.json')
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
