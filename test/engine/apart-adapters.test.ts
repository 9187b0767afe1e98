/**
 * Adapters with a low-rank part for each expert's linears of gpt-oss's 4-bit files (Unsloth's, gate_up_projs.0), as PEFT wrote them of a model that has
 * such linears (tools/oracle/families_apart.py, which holds its logits against those of the adapter over all experts of a layer in one tensor).
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ReferenceDevice } from '../../src/devices/reference/device.ts'
import { checkLoadable, settledSpec } from '../../src/engine/adapter-modules.ts'
import { asSettled } from '../../src/engine/asked-again.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { type AdapterConfig, loraConfig } from '../../src/formats/peft/config.ts'
import { alphaOf, rankOf } from '../../src/formats/peft/scale.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { readTensors } from '../parity/family-case.ts'

const folder = join(import.meta.dirname, '../fixtures/families/gpt-oss-apart')
const work = mkdtempSync(join(tmpdir(), 'saqr-apart-adapters-'))
afterAll(() => rmSync(work, { recursive: true }))
const EXPERTS = String.raw`.*\.experts\.(?:gate_up_projs|down_projs)\.\d+`
const PIECES = ['gate_up_projs', 'down_projs'].flatMap((kind) => [0, 1, 2, 3].map((e) => `${kind}.${e}`))

interface Saved {
  tensors: Map<string, Float32Array>
  config: Record<string, unknown>
}

/** over the base in 4 bits, whose codes lie (out, in), or over its values, which lie (in, out) */
async function loaded(adapter: string, loadIn4bit: boolean): Promise<Saved> {
  const device = new ReferenceDevice()
  try {
    const base = new OpenedModel(device, openCheckpoint(join(folder, 'model')), { dtype: 'f32', loadIn4bit, doubleQuant: true })
    const out = mkdtempSync(join(work, 'saved-'))
    await saveTrained(loadAdapter(base, adapter), out)
    const config = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8'))
    return { tensors: readTensors(join(out, 'adapter_model.safetensors')), config }
  } finally {
    device.dispose()
  }
}

function changed(config: Record<string, unknown>, leave: RegExp | null = null): Promise<string> {
  const to = mkdtempSync(join(work, 'adapter-'))
  cpSync(join(folder, 'adapter-apart'), to, { recursive: true })
  const given = JSON.parse(readFileSync(join(to, 'adapter_config.json'), 'utf8'))
  writeFileSync(join(to, 'adapter_config.json'), JSON.stringify({ ...given, ...config }))
  const path = join(to, 'adapter_model.safetensors')
  const values = readTensors(path)
  const list = [...readSafetensors(path).tensors]
    .filter(([name]) => !leave?.test(name))
    .map(([name, { shape }]) => ({ name, dtype: 'F32', shape, data: bytesOf(values.get(name)!) }))
  return writeSafetensors(path, list, { format: 'pt' }).then(() => to)
}

it.each([true, false])('is the adapter over all experts, and saved as that (4 bits: %s)', async (loadIn4bit) => {
  const [apart, whole] = [await loaded(join(folder, 'adapter-apart'), loadIn4bit), await loaded(join(folder, 'adapter'), loadIn4bit)]
  expect(whole.tensors).toEqual(readTensors(join(folder, 'adapter/adapter_model.safetensors')))
  expect(apart.tensors).toEqual(whole.tensors)
  expect(apart.config).toMatchObject({
    target_modules: ['down_proj', 'gate_proj', 'o_proj', 'q_proj', 'up_proj'],
    target_parameters: ['mlp.experts.down_proj', 'mlp.experts.gate_up_proj'],
    rank_pattern: {},
  })
})

it.each([true, false])('with dropout it is saved as PEFT wrote it: a part for each expert (4 bits: %s)', async (loadIn4bit) => {
  const given = readTensors(join(folder, 'adapter-apart/adapter_model.safetensors'))
  const { tensors, config } = await loaded(await changed({ lora_dropout: 0.3 }), loadIn4bit)
  expect(tensors).toEqual(given)
  const { target_modules } = JSON.parse(readFileSync(join(folder, 'adapter-apart/adapter_config.json'), 'utf8'))
  expect(config).toMatchObject({ lora_dropout: 0.3, target_modules, target_parameters: null, inference_mode: true })
})

it('so is one that names them by an expression, has ranks by pattern, or adapts a layer alone', async () => {
  const { tensors } = await loaded(join(folder, 'adapter'), true)
  const by = await loaded(await changed({ target_modules: `(?:.*\\.[qo]_proj)|(?:${EXPERTS})` }), true)
  expect(by.tensors).toEqual(tensors)
  // r and alpha of experts alone: those of the others are given by default
  const ranked = await loaded(
    await changed({ r: 7, lora_alpha: 21, rank_pattern: { [EXPERTS]: 3, '.*_proj': 3 }, alpha_pattern: { '[qo]_proj': 8, [EXPERTS]: 5 } }),
    true,
  )
  expect(ranked.tensors).toEqual(tensors)
  expect(ranked.config).toMatchObject({
    rank_pattern: { '.*_proj': 3 },
    alpha_pattern: { '.*\\.mlp\\.experts\\.gate_up_proj': 5, '.*\\.mlp\\.experts\\.down_proj': 5, '[qo]_proj': 8 },
  })
  const one = await changed({ target_modules: String.raw`(?:.*\.[qo]_proj)|(?:.*\.1\..*\.gate_up_projs\.\d+)` }, /down_projs|\.0\.mlp/)
  const { tensors: ofOne, config } = await loaded(one, true)
  expect(config.target_parameters).toEqual(['model.layers.1.mlp.experts.gate_up_proj'])
  const inner = /layers\.1\.mlp\.experts\.base_layer\./
  expect(ofOne).toEqual(
    new Map(
      [...tensors]
        .filter(([name]) => !name.includes('.mlp.') || inner.test(name))
        .map(([name, own]) => [name.replace('.base_layer.', '.'), own]),
    ),
  )
})

const ofLayer = (layer: number) => String.raw`.*layers\.${layer}\..*gate_up_projs\.\d+`

it.each([
  { [ofLayer(0)]: 5, [ofLayer(1)]: 9 },
  { [ofLayer(1)]: 9 },
  { [ofLayer(0)]: 9, '.*': 5 },
  { [EXPERTS]: 5 },
  // means the stacks of layer 0 too
  { [ofLayer(1)]: 9, '.*layers.0.*': 7 },
  { '.*layers.0.*': 7, [EXPERTS]: 7 },
  { [ofLayer(1)]: 3, '.*_projs.*': 4, '.*_proj': 9 },
])('each layer keeps its own rank and scale: %j', (pattern) => {
  const given = loraConfig({ r: 3, loraAlpha: 8, targetModules: ['q_proj', ...PIECES] })
  const model = openConfig(readConfig(join(folder, 'model')))
  const settledOf = (config: AdapterConfig) => (settledSpec({ kind: 'lora', config }, model) as { config: AdapterConfig }).config
  for (const [field, of] of [
    ['rankPattern', rankOf],
    ['alphaPattern', alphaOf],
  ] as const) {
    const config = { ...given, [field]: pattern }
    const settled = settledOf(config)
    // as its file has them
    const sorted = { ...settled, [field]: Object.fromEntries(Object.entries(settled[field]).sort()) }
    const places = ['q_proj', 'experts.gate_up_proj', 'experts.down_proj'].map((path) => ({
      path,
      given: path.replace(/^experts.*/, '$&s.0'),
    }))
    for (const layer of [0, 1])
      for (const { path, given } of places) {
        const at = `model.layers.${layer}.${path === 'q_proj' ? 'self_attn' : 'mlp'}.`
        expect([at, path, of(settled, at + path), of(sorted, at + path)]).toEqual([
          at,
          path,
          of(config, at + given),
          of(config, at + given),
        ])
      }
    expect(asSettled({ [field]: pattern }, settled, model)).toEqual({ [field]: settled[field] })
    expect(settledOf(settled)).toEqual(settled)
  }
})

it('layers of one rank and scale have one key, others a key each', () => {
  const model = openConfig(readConfig(join(folder, 'model')))
  const keys = (alphaPattern: Record<string, number>) => {
    const spec = settledSpec({ kind: 'lora', config: loraConfig({ targetModules: PIECES, alphaPattern }) }, model)
    return (spec as { config: AdapterConfig }).config.alphaPattern
  }
  expect(keys({ 'gate_up_projs.*': 5 })).toEqual({ '.*\\.mlp\\.experts\\.gate_up_proj': 5 })
  expect(keys({ [ofLayer(1)]: 9 })).toEqual({ 'model\\.layers\\.1\\.mlp\\.experts\\.gate_up_proj': 9 })
})

it('one of some experts, of a part too few, or of ranks that differ among them, is refused by name, before weights are read', async () => {
  const over = { model: openConfig(readConfig(join(folder, 'model'))), base: 'the base', file: true }
  checkLoadable(join(folder, 'adapter-apart'), over)
  const some = await changed({ target_modules: ['q_proj', 'gate_up_projs.0', 'gate_up_projs.2'] })
  expect(() => checkLoadable(some, over)).toThrow(
    'mean model.layers.0.mlp.experts.gate_up_projs.0 and not model.layers.0.mlp.experts.gate_up_projs.1: all experts of a layer lie in tensors',
  )
  const few = await changed({}, /1\.mlp\.experts\.down_projs\.3/)
  expect(() => checkLoadable(few, over)).toThrow(
    /has no model\.layers\.1\.mlp\.experts\.lora_A\.weight, .*: it has parts of single experts \(model\.layers\.1\.mlp\.experts\.down_projs\.0\./,
  )
  const ranks = await changed({ rank_pattern: { 'gate_up_projs.2': 5 } }, /gate_up_projs\.2/)
  expect(() => checkLoadable(ranks, over)).toThrow(
    /has 3 for model\.layers\.0\.mlp\.experts\.gate_up_projs\.0 and 5 for .*\.2: they lie in one tensor/,
  )
})
