/** Phi 3's config.json: rotations as transformers reads them, the Hub's checkpoints as they lie there, and what is refused. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { parametersOf } from '../../src/engine/settle.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { Config } from '../../src/models/config.ts'
import { DEFAULTS, rotation } from '../../src/models/phi3.ts'
import { openConfig } from '../../src/models/registry.ts'

const fixtures = join(import.meta.dirname, '../fixtures')

interface Rope {
  config: Record<string, unknown>
  expected: { inv_freq: number[]; long: number[] | null; beyond: number | null; attention_factor: number } | null
}

const size = { hidden_size: 32, num_attention_heads: 2, head_dim: 16, max_position_embeddings: 256 }

it.each(
  (JSON.parse(readFileSync(join(fixtures, 'configs/rope-phi3.json'), 'utf8')) as Rope[]).map(
    (row) => [JSON.stringify(row.config), row] as const,
  ),
)('rotation of %s', (_, { config, expected }) => {
  const ours = () => rotation(new Config({ ...size, ...config }, 'phi3', DEFAULTS), 16)
  if (expected === null) return expect(ours).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG' }))
  const { invFreq, attentionFactor, long } = ours()
  // frequencies are f32 in transformers, made by a few operations each: two units in the last place
  const same = (a: readonly number[], b: readonly number[]) => {
    expect(a).toHaveLength(b.length)
    for (const [i, f] of b.entries()) expect(Math.abs(a[i]! / f - 1)).toBeLessThan(2.5e-7)
  }
  same(invFreq, expected.inv_freq)
  if (expected.long) same(long!.invFreq, expected.long)
  expect(long?.beyond ?? null).toBe(expected.beyond)
  expect(attentionFactor).toBeCloseTo(expected.attention_factor, 12)
})

// the keys of the published files; their factors, 48 of each, are made
const factors = { short_factor: new Array(48).fill(1.05), long_factor: Array.from({ length: 48 }, (_, i) => 1 + i) }
const code = {
  attention_bias: false,
  attention_dropout: 0.0,
  embd_pdrop: 0.0,
  resid_pdrop: 0.0,
  hidden_act: 'silu',
  initializer_range: 0.02,
}
const mini = {
  ...code, model_type: 'phi3', hidden_size: 3072, intermediate_size: 8192, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32, vocab_size: 32064,
  rms_norm_eps: 1e-5, rope_theta: 10000.0, bos_token_id: 1, eos_token_id: 32000, pad_token_id: 32000, tie_word_embeddings: false, use_cache: true,
} // biome-ignore format: a table
const published: Record<string, Record<string, unknown>> = {
  'Phi 3 mini, 4k': { ...mini, max_position_embeddings: 4096, original_max_position_embeddings: 4096, rope_scaling: null, sliding_window: 2047 },
  'Phi 3.5 mini': {
    ...mini, max_position_embeddings: 131072, original_max_position_embeddings: 4096, rope_scaling: { ...factors, type: 'longrope' }, sliding_window: 262144,
  },
  'Phi 4': {
    ...mini, hidden_size: 5120, intermediate_size: 17920, num_hidden_layers: 40, num_attention_heads: 40, num_key_value_heads: 10, vocab_size: 100352,
    max_position_embeddings: 16384, original_max_position_embeddings: 16384, rope_scaling: null, rope_theta: 250000, sliding_window: null,
    bos_token_id: 100257, eos_token_id: 100265, pad_token_id: 100349,
  },
  'Phi 4 mini': {
    ...mini, num_attention_heads: 24, num_key_value_heads: 8, vocab_size: 200064, max_position_embeddings: 131072, original_max_position_embeddings: 4096,
    partial_rotary_factor: 0.75, rope_scaling: { ...factors, type: 'longrope' }, sliding_window: 262144, tie_word_embeddings: true,
    full_attn_mod: 1, interpolate_factor: 1, lm_head_bias: false, mlp_bias: false, bos_token_id: 199999, eos_token_id: 199999, pad_token_id: 199999,
  },
} // biome-ignore format: a table

it.each([
  ['Phi 3 mini, 4k', 4096, undefined, 9216, 3_821_079_552],
  ['Phi 3.5 mini', 131_072, 4096, 9216, 3_821_079_552],
  ['Phi 4', 16_384, undefined, 7680, 14_659_507_200],
  ['Phi 4 mini', 131_072, 4096, 5120, 3_836_021_760],
])('%s opens', (name, maxPositions, longBeyond, qkv, parameters) => {
  const model = openConfig(published[name]!)
  const all = parametersOf(model)
  expect([model.maxPositions, model.longBeyond, all.get('model.layers.0.self_attn.qkv_proj.weight')!.rows]).toEqual([
    maxPositions,
    longBeyond,
    qkv,
  ])
  // as transformers counts them
  expect([...all.values()].reduce((n, { rows, cols }) => n + rows * cols, 0)).toBe(parameters)
})

it.each([
  [{ resid_pdrop: 0.1 }, 'resid_pdrop'],
  [{ embd_pdrop: null }, 'embd_pdrop'],
  [{ hidden_act: 'gelu' }, 'hidden_act'],
  [{ attention_dropout: 0.1 }, 'attention_dropout'],
  [{ head_dim: null }, 'head_dim'],
  [{ layer_types: ['full_attention'] }, 'layer_types'],
  [{ sliding_window: 0 }, 'sliding_window'],
  [{ partial_rotary_factor: 1.5 }, 'partial_rotary_factor'],
  [{ partial_rotary_factor: 0 }, 'partial_rotary_factor'],
  [{ partial_rotary_factor: 0.7 }, 'partial_rotary_factor'],
  [{ original_max_position_embeddings: 1 }, 'original_max_position_embeddings'],
  [{ original_max_position_embeddings: null }, 'original_max_position_embeddings'],
  [{ rope_scaling: { ...factors, type: 'longrope' } }, 'rope_parameters.short_factor'],
  [{ rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [2, 2] }, head_dim: 4 }, 'head_dim'],
  [{ rope_scaling: { type: 'dynamic', factor: 2 } }, 'rope_parameters.rope_type'],
])('%o is refused by name', (wrong, key) => {
  const open = (more: object) => openConfig({ ...mini, ...size, num_hidden_layers: 1, num_key_value_heads: 1, rope_scaling: null, ...more })
  expect(open({ embd_pdrop: 0.1, sliding_window: 5e9, partial_rotary_factor: 0.5 }).layers).toBe(1)
  expect(() => open(wrong)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(key) }))
})

const folder = join(fixtures, 'training/longrope/model')

// what PEFT targets where nobody says anything, and the names of other families
it.each([
  [
    ['q_proj', 'v_proj'],
    /no module of this phi3 model: here q_proj is a part of qkv_proj, v_proj is a part of qkv_proj; it has .*all-linear means/,
  ],
  [['model.layers.0.mlp.gate_proj'], /here gate_proj is a part of gate_up_proj;/],
])('targets %j are told what holds them', (targetModules, hint) => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    const make = () => new LanguageModel(opened, { kind: 'lora', config: loraConfig({ targetModules }) }, 0)
    expect(make).toThrow(expect.objectContaining({ code: 'OPTION_MODULES', message: expect.stringMatching(hint) }))
  } finally {
    device.dispose()
  }
})

it('the linears an adapter is given by default; one wrong name beside right ones is told too', async () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const { model } = await FastLanguageModel.fromPretrained(folder, { device, dtype: 'f32', loadIn4bit: false })
    expect(() => FastLanguageModel.getPeftModel(model, { targetModules: ['o_proj', 'up_proj'] })).toThrow(
      /names up_proj, .*: here up_proj is a part of gate_up_proj/,
    )
    const adapted = FastLanguageModel.getPeftModel(model, { r: 4 })
    const modules = adapted.language.trainables.names.map((name) => name.split('.').at(-3))
    expect([...new Set(modules)].sort()).toEqual(['down_proj', 'gate_up_proj', 'o_proj', 'qkv_proj'])
    await model.dispose()
  } finally {
    device.dispose()
  }
})
