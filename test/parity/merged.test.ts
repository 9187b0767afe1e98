/** A merged checkpoint says what base and adapter said, and a saved adapter is the one that was loaded. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { saveMerged } from '../../src/export/merged.ts'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { distance, logProbabilities, readTensors } from './family-case.ts'

const root = join(import.meta.dirname, '../fixtures/families')
const work = mkdtempSync(join(tmpdir(), 'saqr-merged-'))
afterAll(() => rmSync(work, { recursive: true }))

const openAt = (device: CpuDevice, path: string) =>
  new OpenedModel(device, openCheckpoint(path), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })

it.each([
  'llama-gqa-tied',
  'gemma3',
  'gemma3-whole',
  'gemma3-whole-untied',
  'qwen2',
  'phi3-longrope',
  'mixtral-window-odd',
  'qwen3-moe-some-dense',
  'mixtral-experts',
  'mixtral-experts-one',
  'qwen3-moe-all-linear',
  'qwen3-moe-expression',
  'qwen3-moe-saved',
  'deepseek-v3',
  'deepseek-v3-experts',
  'deepseek-v3-experts-lora',
  'gpt-oss-odd',
  'gpt-oss-experts',
  'gpt-oss-experts-some',
  'gpt-oss-apart',
  'gpt-oss-saved',
  'lora-rslora',
  'lora-bias-all',
  'lora-head-embed',
  'lora-head-embed-tied',
  'lora-modules-to-save-tied',
])('%s', async (name) => {
  const folder = join(root, name)
  const device = new CpuDevice({ threads: 2 })
  const merged = new CpuDevice({ threads: 2 })
  try {
    const model = loadAdapter(openAt(device, join(folder, 'model')), join(folder, 'adapter'))
    const before = await logProbabilities(device, model, folder)
    await saveMerged(model, join(work, name))
    const after = await logProbabilities(merged, new LanguageModel(openAt(merged, join(work, name)), { kind: 'none' }, 0), folder)
    // W + s·B·A is rounded to f32 once, the sum of two products twice
    expect(distance(after, before)).toBeLessThan(1e-5)

    await saveTrained(model, join(work, `${name}-adapter`))
    const saved = readTensors(join(work, `${name}-adapter`, 'adapter_model.safetensors'))
    const given = readTensors(join(folder, 'adapter', 'adapter_model.safetensors'))
    for (const [key, values] of saved) expect(values, key).toEqual(given.get(key))
    expect(JSON.parse(readFileSync(join(work, `${name}-adapter`, 'adapter_config.json'), 'utf8'))).toEqual(
      JSON.parse(readFileSync(join(folder, 'adapter', 'adapter_config.json'), 'utf8')),
    )
  } finally {
    device.dispose()
    merged.dispose()
  }
})

it.each([
  ['mixtral-experts', 6],
  ['mixtral-experts-one', 2],
  ['qwen3-moe-all-linear', 8],
  ['deepseek-v3-experts-lora', 8],
  ['deepseek-v2-lite', 6],
])('%s with a low-rank part for each expert’s linears, of rank %i all', async (name, rank) => {
  const folder = join(root, name)
  const device = new CpuDevice({ threads: 2 })
  try {
    const model = loadAdapter(openAt(device, join(folder, 'model')), join(folder, 'adapter'))
    const before = await logProbabilities(device, model, folder)
    const out = join(work, `${name}-unfused`)
    await saveTrained(model, out, { unfuseExperts: true })
    const tensors = readSafetensors(join(out, 'adapter_model.safetensors')).tensors
    expect([...tensors.keys()].filter((key) => /experts\.(base_layer|lora)/.test(key))).toEqual([])
    expect([...tensors.keys()].some((key) => /\.experts\.1\.(w1|w2|gate_proj|down_proj)\.lora_B\.weight$/.test(key))).toBe(true)
    for (const [key, { shape }] of tensors) expect([key, shape[key.includes('lora_A') ? 0 : 1]]).toEqual([key, rank])
    const config = readAdapterConfig(out)
    expect(config).toMatchObject({ r: rank, useRslora: false, rankPattern: {}, alphaPattern: {}, targetParameters: null })
    const again = loadAdapter(model.opened, out)
    // the same terms in another order
    expect(distance(await logProbabilities(device, again, folder), before)).toBeLessThan(3e-6)
  } finally {
    device.dispose()
  }
})

it.each([
  ['qwen3-moe-expression', /model\.layers\.0\.mlp\.experts\.down_proj has none: names of experts mean those of every layer/],
  ['qwen3-moe-saved', /the experts of this model have none: leave it out/],
  ['gpt-oss-experts', /no file of a gpt_oss model has names for them: leave it out/],
  ['llama-mha', /unfuseExperts writes a low-rank part.*leave it out/],
])('%s can’t be written so: refused by name', async (name, why) => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const model = loadAdapter(openAt(device, join(root, name, 'model')), join(root, name, 'adapter'))
    await expect(saveTrained(model, join(work, `${name}-unfused`), { unfuseExperts: true })).rejects.toThrow(why)
    expect(existsSync(join(work, `${name}-unfused`))).toBe(false)
  } finally {
    device.dispose()
  }
})
