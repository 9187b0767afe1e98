/** An adapter that does not fit is refused by what it is, before anything is computed with it. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { adaptedBase } from '../../src/engine/adapted-base.ts'
import { checkLoadable } from '../../src/engine/adapter-modules.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { PEFT_PREFIX, readAdapter } from '../../src/formats/peft/read.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { readTensors } from '../parity/family-case.ts'

const root = join(import.meta.dirname, '../fixtures/adapters')
const work = mkdtempSync(join(tmpdir(), 'saqr-refused-'))
afterAll(() => rmSync(work, { recursive: true }))

type Tensors = Record<string, { shape: readonly number[]; values: Float32Array }>
let made = 0

/** A recorded adapter with other tensors (names less PEFT's prefix) and options. */
async function changed(name: string, change: (tensors: Tensors, config: Record<string, unknown>) => void): Promise<string> {
  const folder = join(work, String(made++))
  mkdirSync(folder)
  const file = join(root, name, 'adapter_model.safetensors')
  const values = readTensors(file)
  const tensors: Tensors = Object.fromEntries(
    [...readSafetensors(file).tensors].map(([key, { shape }]) => [key.slice(PEFT_PREFIX.length), { shape, values: values.get(key)! }]),
  )
  const config = JSON.parse(readFileSync(join(root, name, 'adapter_config.json'), 'utf8'))
  change(tensors, config)
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(config))
  const list = Object.entries(tensors).map(([key, t]) => ({
    name: PEFT_PREFIX + key,
    dtype: 'F32',
    shape: t.shape,
    data: bytesOf(t.values),
  }))
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), list)
  return folder
}

async function refusal(base: string, folder: string): Promise<unknown> {
  const device = new CpuDevice({ threads: 1 })
  try {
    const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const
    const checkpoint = adaptedBase(openCheckpoint(join(root, base)), readAdapter(folder), folder)
    loadAdapter(new OpenedModel(device, checkpoint, choice), folder)
    return null
  } catch (error) {
    return error
  } finally {
    device.dispose()
  }
}

const zeros = (...shape: number[]) => ({ shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5) })
const q = 'model.layers.0.self_attn.q_proj'

type Case = [what: string, base: string, from: string, change: Parameters<typeof changed>[1], message: string]
it.each<Case>([
  ['a module without its tensors', 'untied', 'whole-path', (t) => delete t['lm_head.lora_A.weight'] && delete t['lm_head.lora_B.weight'], 'has no lm_head.lora_A.weight, which its adapter_config.json calls for'],
  ['a module that is not named', 'untied', 'saved-untied', (t) => Object.assign(t, { 'model.layers.0.self_attn.v_proj.lora_A.weight': zeros(2, 16), 'model.layers.0.self_attn.v_proj.lora_B.weight': zeros(16, 2) }), 'does not name model.layers.0.self_attn.v_proj'],
  ['a module that the base has not', 'untied', 'saved-untied', (t) => Object.assign(t, { 'model.layers.7.self_attn.q_proj.lora_A.weight': zeros(2, 16), 'model.layers.7.self_attn.q_proj.lora_B.weight': zeros(16, 2) }), 'has no module model.layers.7.self_attn.q_proj'],
  ['another size', 'untied', 'saved-untied', (t) => Object.assign(t, { [`${q}.lora_A.weight`]: zeros(2, 32) }), 'must name the base it was trained over'],
  ['a weight that nothing means', 'untied', 'saved-untied', (t) => Object.assign(t, { 'model.norm.weight': zeros(16) }), 'does not name model.norm'],
  ['an empty tensor', 'untied', 'resized-whole', (t) => Object.assign(t, { 'lm_head.weight': zeros(0) }), 'ZeRO-3'],
  ['an empty low-rank part', 'untied', 'saved-untied', (t) => Object.assign(t, { [`${q}.lora_A.weight`]: zeros(0) }), 'ZeRO-3'],
  ['a resized embedding without its head', 'untied', 'resized-untied', (t) => delete t['lm_head.weight'], 'does not keep lm_head.weight of that size'],
  ['an embedding and a head that part', 'tied', 'resized-tied', (t) => Object.assign(t, { 'lm_head.weight': zeros(29, 16) }), 'over a base that has one weight for both'],
  ['embedding and head of two sizes', 'untied', 'resized-untied', (t) => Object.assign(t, { 'lm_head.weight': zeros(30, 16) }), 'different numbers of rows'],
  ['fewer rows than tokens', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: [3, 4] }), 'has 3 × 16 values of model.embed_tokens.token_adapter.trainable_tokens_delta for 2 trainable_token_indices'],
  ['a token that is none', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: [3, 4, 24] }), 'token 24 is none: model.embed_tokens has 24 rows'],
  ['a token that comes twice', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: [3, 4, 3] }), 'token 3 is named twice'],
  ['no token', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: [] }), 'none is named for model.embed_tokens'],
  ['tokens of what is trained whole', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { modules_to_save: ['embed_tokens'] }), 'model.embed_tokens is trained whole (modules_to_save)'],
  ['tokens of an embedding that has a low-rank part', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { target_modules: ['q_proj', 'embed_tokens'] }), 'model.embed_tokens has a low-rank part'],
  ['other tokens for head and embedding, which are one', 'tied', 'tokens-by-module-tied', (_, c) => Object.assign(c, { ensure_weight_tying: true }), 'ensure_weight_tying makes head and embedding one'],
  ['tokens of a module that has none', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: { q_proj: [1] } }), 'neither embedding nor head'],
  ['tied parts that differ', 'tied', 'as-one-whole', (t) => Object.assign(t, { 'lm_head.weight': zeros(24, 16) }), 'ensure_weight_tying makes them one'],
  ['token rows that nothing names', 'tied', 'tokens-tied', (_, c) => Object.assign(c, { trainable_token_indices: null }), 'trainable_token_indices'],
])('%s', async (_, base, from, change, message) => {
  expect(await refusal(base, await changed(from, change))).toMatchObject({ code: 'FORMAT_ADAPTER', message: expect.stringContaining(message) })
}) // biome-ignore format: a table

it('one that was trained over the same model with its linears apart says so', async () => {
  const folder = join(work, `apart-${made++}`)
  const phi3 = join(root, '../families/phi3')
  cpSync(join(phi3, 'adapter'), folder, { recursive: true })
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, target_modules: ['o_proj', 'gate_proj'] }))
  const path = join(folder, 'adapter_model.safetensors')
  const values = readTensors(path)
  const list = [...readSafetensors(path).tensors]
    .filter(([name]) => /o_proj|gate_up_proj/.test(name))
    .map(([name, { shape }]) => ({
      name: name.replace('gate_up_proj', 'gate_proj'),
      dtype: 'F32',
      shape,
      data: bytesOf(values.get(name)!),
    }))
  await writeSafetensors(path, list)
  const model = openConfig(readConfig(join(phi3, 'model')))
  expect(() => checkLoadable(folder, { model, base: 'the base', file: true })).toThrow(
    /has model\.layers\.0\.mlp\.gate_proj\.lora_A\.weight, which in the base \(phi3\) is a part of gate_up_proj: it was trained over the same model with its linears apart/,
  )
})

it.each([
  ['/mnt/models/gone', /adapter_config\.json.*base_model_name_or_path|base_model_name_or_path.*adapter_config\.json/],
  [null, /does not name its base/],
  [join(root, 'saved-untied'), /an adapter itself/],
])('a base %j that is not there: the file that names it is told', async (base, message) => {
  const folder = join(work, `base-${made++}`)
  cpSync(join(root, 'saved-untied'), folder, { recursive: true })
  const path = join(folder, 'adapter_config.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), base_model_name_or_path: base }))
  await expect(FastLanguageModel.fromPretrained(folder)).rejects.toMatchObject({
    code: 'MODEL_BASE',
    message: expect.stringMatching(message),
  })
})
