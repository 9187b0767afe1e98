/**
 * Adapters over mixtures as transformers 4 had them: a name like up_proj means dense and shared MLPs, and each expert's, all of them modules. PEFT 0.21.2
 * over transformers 5 reads the experts' parts alone (tried: logits 0.6 to 1.0 from the right ones, as ‖a − b‖ / ‖b‖). Right is W + s · B · A.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { checkLoadable } from '../../src/engine/adapter-modules.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { openBase } from '../../src/engine/open-base.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { saveMerged } from '../../src/export/merged.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { distance, readTensors } from '../parity/family-case.ts'

const families = join(import.meta.dirname, '../fixtures/families')
const work = mkdtempSync(join(tmpdir(), 'saqr-own-'))
afterAll(() => rmSync(work, { recursive: true }))

interface Older {
  targets: string[] | string
  /** of what each module's low-rank part is */
  has: RegExp
  ranks?: Record<string, number>
  alphas?: Record<string, number>
  useRslora?: boolean
  dropout?: number
}

/** The folder of an adapter as transformers 4 had it, of rank 4 and alpha 8 where patterns say nothing, and what the base's file is with it. */
async function older(model: string, { targets, has, ranks = {}, alphas = {}, useRslora = false, dropout = 0 }: Older) {
  const file = join(model, 'model.safetensors')
  const right = readTensors(file)
  const list: { name: string; dtype: string; shape: number[]; data: Uint8Array }[] = []
  for (const [name, { shape }] of readSafetensors(file).tensors) {
    const path = name.replace(/\.weight$/, '')
    if (shape.length !== 2 || !has.test(path)) continue
    const [out, size] = shape as [number, number]
    const meant = (of: Record<string, number>) => Object.entries(of).find(([key]) => path.endsWith(`.${key}`))?.[1]
    const [r, alpha] = [meant(ranks) ?? 4, meant(alphas) ?? 8]
    const draw = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => 0.2 * Math.sin(i * 1.7 + seed + list.length))
    const [a, b] = [draw(r * size, 0), draw(out * r, 1)]
    list.push({ name: `base_model.model.${path}.lora_A.weight`, dtype: 'F32', shape: [r, size], data: bytesOf(a) })
    list.push({ name: `base_model.model.${path}.lora_B.weight`, dtype: 'F32', shape: [out, r], data: bytesOf(b) })
    const w = right.get(name)!
    const scale = alpha / (useRslora ? Math.sqrt(r) : r)
    for (let i = 0; i < out; i++)
      for (let j = 0; j < size; j++) {
        let sum = 0
        for (let k = 0; k < r; k++) sum += b[i * r + k]! * a[k * size + j]!
        w[i * size + j] = w[i * size + j]! + scale * sum
      }
  }
  const folder = mkdtempSync(join(work, 'adapter-'))
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), list, { format: 'pt' })
  const more = { rank_pattern: ranks, alpha_pattern: alphas, use_rslora: useRslora, lora_dropout: dropout }
  writeFileSync(
    join(folder, 'adapter_config.json'),
    JSON.stringify({ peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 4, lora_alpha: 8, target_modules: targets, ...more }),
  )
  return { folder, right, modules: list.length / 2 }
}

/** merged, and saved to be read again */
async function taken(model: string, adapter: string) {
  const device = new CpuDevice({ threads: 1 })
  const [merged, saved] = ['merged', 'saved'].map((name) => join(adapter, name)) as [string, string]
  try {
    const opened = new OpenedModel(device, openCheckpoint(model), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    const language = loadAdapter(opened, adapter)
    mkdirSync(saved)
    await saveMerged(language, merged)
    await saveTrained(language, saved)
    return { tensors: readTensors(join(merged, 'model.safetensors')), saved }
  } finally {
    device.dispose()
  }
}

const LIST = ['q_proj', 'q_b_proj', 'gate_proj', 'up_proj', 'down_proj']
const ALL = /\.(q_proj|q_b_proj|gate_proj|up_proj|down_proj)$/
const KINDS = ['gate_proj', 'up_proj', 'down_proj']
/** of qwen3-moe-all-linear, whose second layer is dense */
const EXPERTS = [0, 2].flatMap((layer) => ['gate_up_proj', 'down_proj'].map((kind) => `model.layers.${layer}.mlp.experts.${kind}`))

it.each<[string, string, Older, string[]]>([
  [
    'dense, shared and experts by names',
    'deepseek-v3-experts',
    { targets: LIST, has: ALL },
    ['gate_up_proj', 'down_proj', ...KINDS.flatMap((kind) => [`mlp.${kind}.weight`, `mlp.shared_experts.${kind}.weight`])],
  ],
  [
    'of ranks and scales of their own',
    'deepseek-v3-experts',
    { targets: LIST, has: ALL, ranks: { 'shared_experts.up_proj': 2 }, alphas: { 'shared_experts.down_proj': 3, 'mlp.gate_proj': 5 } },
    ['gate_up_proj', 'down_proj', ...KINDS.flatMap((kind) => [`mlp.${kind}.weight`, `mlp.shared_experts.${kind}.weight`])],
  ],
  [
    'layers without experts',
    'qwen3-moe-all-linear',
    { targets: LIST, has: ALL },
    ['gate_up_proj', 'down_proj', ...KINDS.map((kind) => `mlp.${kind}.weight`)],
  ],
  [
    'shared ones alone, by an expression',
    'deepseek-v3-experts',
    { targets: String.raw`.*shared_experts\.(up|down)_proj`, has: /shared_experts\.(up|down)_proj$/ },
    ['mlp.shared_experts.up_proj.weight', 'mlp.shared_experts.down_proj.weight'],
  ],
  [
    'one of one layer, by its path',
    'deepseek-v3-experts',
    { targets: ['q_b_proj', 'model.layers.2.mlp.shared_experts.gate_proj'], has: /q_b_proj$|layers\.2\.mlp\.shared_experts\.gate_proj$/ },
    ['model.layers.2.mlp.shared_experts.gate_proj.weight'],
  ],
  [
    'each expert’s by an expression',
    'deepseek-v3-experts',
    { targets: String.raw`.*(q_b_proj|mlp\.experts\.\d+\.(gate|up|down)_proj)`, has: /q_b_proj$|\.mlp\.experts\./ },
    ['gate_up_proj', 'down_proj'],
  ],
  [
    'experts and router of one layer alone',
    'qwen3-moe-all-linear',
    { targets: String.raw`.*layers\.2\..*`, has: /layers\.2\..*_proj$|layers\.2\.mlp\.gate$/ },
    ['model.layers.2.mlp.experts.down_proj', 'model.layers.2.mlp.experts.gate_up_proj', 'model.layers.2.mlp.gate.weight'],
  ],
  [
    'experts of a scale by pattern, which PEFT 0.21 drops',
    'qwen3-moe-all-linear',
    { targets: LIST, has: ALL, alphas: { gate_proj: 3, up_proj: 3, down_proj: 5 } },
    [...KINDS.map((kind) => `mlp.${kind}.weight`), ...EXPERTS],
  ],
  [
    'rsLoRA, of which PEFT 0.21 reads gate and up at √2 times their scale',
    'qwen3-moe-all-linear',
    { targets: LIST, has: ALL, useRslora: true },
    [...KINDS.map((kind) => `mlp.${kind}.weight`), ...EXPERTS],
  ],
  [
    'rsLoRA of ranks and scales of their own',
    'qwen3-moe-all-linear',
    { targets: LIST, has: ALL, useRslora: true, ranks: { down_proj: 2 }, alphas: { gate_proj: 3, up_proj: 3 } },
    [...KINDS.map((kind) => `mlp.${kind}.weight`), ...EXPERTS],
  ],
  [
    'experts of a rank by pattern',
    'qwen3-moe-all-linear',
    { targets: LIST, has: ALL, ranks: { gate_proj: 2, up_proj: 2 } },
    [...KINDS.map((kind) => `mlp.${kind}.weight`), ...EXPERTS],
  ],
])('of transformers 4: %s', async (_, name, given, parameters) => {
  const model = join(families, name, 'model')
  const { folder, right, modules } = await older(model, given)
  expect(modules).toBeGreaterThan(2)
  checkLoadable(folder, { model: openConfig(readConfig(model)), base: 'the base', file: true })
  const { tensors, saved } = await taken(model, folder)
  expect([...tensors.keys()].sort()).toEqual([...right.keys()].sort())
  // each of r products and sums, the scale and W + ΔW round once
  for (const [key, values] of tensors) expect(distance(values, right.get(key)!), key).toBeLessThan(7 * 2 ** -24)
  const config = JSON.parse(readFileSync(join(saved, 'adapter_config.json'), 'utf8'))
  expect(config.target_parameters).toEqual(parameters.toSorted())
  expect(config).not.toHaveProperty('inFile')
  // in today's form it is the same adapter
  const again = await taken(model, saved)
  for (const [key, values] of again.tensors) expect(values, key).toEqual(tensors.get(key))
})

it('dropout, which can’t act on tensors of all experts: told, and saved as 0, or PEFT would refuse the adapter', async () => {
  const model = join(work, 'with-tokenizer')
  cpSync(join(families, 'qwen3-moe-all-linear/model'), model, { recursive: true })
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(families, '../training/full-gemma3-whole/model', file), join(model, file))
  const { folder, right } = await older(model, { targets: LIST, has: ALL, dropout: 0.1 })
  const file = join(folder, 'adapter_config.json')
  const given = JSON.parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify({ ...given, base_model_name_or_path: model }))
  const device = new CpuDevice({ threads: 1 })
  try {
    const request = { choice: () => ({ dtype: 'f32', loadIn4bit: false, doubleQuant: false }) as const }
    const { opened, notes } = await openBase(folder, device, request)
    expect(notes).toContainEqual(
      expect.stringMatching(/gate_up_proj gets a low-rank part as a whole, .*lora_dropout \(0\.1\).*saved again it has lora_dropout 0/),
    )
    expect(() => loadAdapter(opened, folder).checkTrainable()).toThrow(/lora_dropout of this adapter/)
  } finally {
    device.dispose()
  }
  const { tensors, saved } = await taken(model, folder)
  for (const [key, values] of tensors) expect(distance(values, right.get(key)!), key).toBeLessThan(7 * 2 ** -24)
  expect(JSON.parse(readFileSync(join(saved, 'adapter_config.json'), 'utf8')).lora_dropout).toBe(0)
})

it('gate and up of unlike scales can’t be one tensor’s: refused by name', async () => {
  const model = join(families, 'qwen3-moe-all-linear/model')
  const { folder } = await older(model, { targets: LIST, has: ALL, alphas: { up_proj: 3 } })
  expect(() => checkLoadable(folder, { model: openConfig(readConfig(model)), base: 'the base', file: true })).toThrow(
    /alphaPattern has 8 for model\.layers\.0\.mlp\.experts\.0\.gate_proj and 3 for model\.layers\.0\.mlp\.experts\.0\.up_proj: they lie in one tensor/,
  )
})

it('what PEFT 0.21 wrote is as it was', async () => {
  for (const name of readdirSync(families)) {
    const adapter = join(families, name, 'adapter')
    if (!/moe|mixtral|deepseek|gpt/.test(name) || !existsSync(adapter)) continue
    const copy = mkdtempSync(join(work, 'today-'))
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      writeFileSync(join(copy, file), readFileSync(join(adapter, file)))
    const { saved } = await taken(join(families, name, 'model'), copy)
    const [ours, theirs] = [saved, adapter].map((folder) => JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')))
    expect([name, ours.target_modules, ours.target_parameters]).toEqual([name, theirs.target_modules, theirs.target_parameters])
  }
})
