/** config.json as transformers reads it: no key of its classes goes unread without a reason, and rotation is the one it means. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parametersOf } from '../../src/engine/settle.ts'
import { Config } from '../../src/models/config.ts'
import { HARMLESS, UNUSED } from '../../src/models/config-keys.ts'
import { families, openConfig } from '../../src/models/registry.ts'
import { readRope } from '../../src/models/rope.ts'

const fixture = (name: string) => JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/configs', name), 'utf8'))
const recorded = fixture('keys.json') as { families: Record<string, Record<string, unknown>>; others: string[]; generation: string[] }

const size = {
  hidden_size: 32,
  num_attention_heads: 2,
  head_dim: 16,
  num_key_value_heads: 1,
  num_hidden_layers: 2,
  intermediate_size: 48,
  vocab_size: 64,
  pad_token_id: null,
  max_position_embeddings: 256,
}
const base = (model_type: string) => ({ ...size, model_type })

/** the keys that are looked at while the config is opened */
function keysRead(config: Record<string, unknown>): Set<string> {
  const read = new Set<string>()
  const watched = new Proxy(config, {
    get(target, key) {
      if (typeof key === 'string') read.add(key)
      return target[key as string]
    },
  })
  openConfig(watched)
  return read
}

describe.each(families.map(({ modelType }) => modelType))('%s', (modelType) => {
  const own = recorded.families[modelType]!
  const factors = new Array(8).fill(1)
  const rope = { rope_type: 'yarn', factor: 2, short_factor: factors, long_factor: factors } // Phi 3's yarn is longrope
  const read = keysRead({ ...base(modelType), rope_parameters: rope, use_sliding_window: true })

  it.each([...Object.keys(own), ...recorded.others, ...recorded.generation])('%s is read, or has no effect', (key) => {
    // by the checkpoint's reader
    if (key === 'quantization_config') return
    expect(read.has(key) || HARMLESS.has(key) || key in UNUSED, `${key}: not classified`).toBe(true)
  })

  it('nothing is called harmless that is read', () => {
    expect([...read].filter((key) => HARMLESS.has(key) && key !== 'model_type')).toEqual([])
  })

  it('what a file leaves out is as transformers has it', () => {
    const model = openConfig({
      ...Object.fromEntries(Object.entries(base(modelType)).filter(([key]) => !/max_position|key_value/.test(key))),
      num_attention_heads: 64,
      hidden_size: 1024,
    })
    const heads = (own.num_key_value_heads as number | null) ?? 64
    const rows = (name: string) => parametersOf(model).get(`model.layers.0.self_attn.${name}.weight`)?.rows
    const keys = rows('k_proj') ?? (rows('qkv_proj')! - 64 * 16) / 2
    expect([model.maxPositions, keys]).toEqual([own.max_position_embeddings, heads * 16])
  })
})

it('every family is recorded', () => {
  expect(Object.keys(recorded.families).sort()).toEqual(families.map(({ modelType }) => modelType).sort())
})

const open = (modelType: string, more: Record<string, unknown>) => openConfig({ ...base(modelType), ...more })

it.each([
  ['llama', { pretraining_tp: 2 }],
  ['llama', { hidden_act: 'swish' }],
  ['llama', { attention_dropout: null, per_layer_config: {}, is_causal: true }],
  ['llama', { sliding_window: 4096 }],
  ['qwen3', { use_sliding_window: true, sliding_window: 8, max_window_layers: 0 }],
  ['qwen3', { layer_types: ['attention', 'full_attention'] }],
  ['qwen2', { attention_bias: false }],
  ['llama', { layer_types: ['full_attention', 'full_attention'] }],
  ['llama', { layer_types: ['sliding_attention', 'full_attention'], sliding_window: 4096 }],
  ...['llama', 'qwen2', 'qwen3', 'smollm3', 'phi3'].map((type): [string, Record<string, unknown>] => [type, { num_key_value_heads: null }]),
])('%s with %j opens', (modelType, more) => {
  expect(open(modelType, more).layers).toBe(2)
})

it.each([
  ['llama', { sliding_window: 4 }, 'sliding_window is 4'],
  ['llama', { is_causal: false }, 'is_causal'],
  ['llama', { per_layer_config: { 0: { intermediate_size: 24 } } }, 'per_layer_config'],
  ['llama', { is_encoder_decoder: true }, 'is_encoder_decoder'],
  ['llama', { attention_dropout: 0.1 }, 'attention_dropout'],
  ['llama', { rms_norm_eps: null }, 'rms_norm_eps'],
  ['llama', { transformers_weights: 'other.safetensors' }, 'transformers_weights'],
  ['qwen3', { head_dim: null }, 'head_dim'],
  ['qwen3', { layer_types: ['sliding_attention', 'full_attention'] }, 'give no window'],
  ['llama', { layer_types: ['sliding_attention', 'full_attention'] }, 'layer_types'],
  ['llama', { layer_types: ['full_attention'] }, 'layer_types'],
  ['llama', { layer_types: 'full_attention' }, 'layer_types'],
  ['llama', { layer_types: ['chunked_attention', 'full_attention'] }, 'layer_types'],
  ['mistral', { layer_types: ['full_attention', 'full_attention'] }, 'layer_types'],
  ...['qwen2', 'qwen3', 'gemma2', 'smollm3'].map((type): [string, Record<string, unknown>, string] => [
    type,
    { layer_types: ['full_attention'] },
    'layer_types',
  ]),
  ...['mistral', 'gemma2'].map((type): [string, Record<string, unknown>, string] => [
    type,
    { num_key_value_heads: null },
    'num_key_value_heads',
  ]),
  ...['qwen2', 'smollm3', 'phi3'].map((type): [string, Record<string, unknown>, string] => [type, { head_dim: null }, 'head_dim']),
  ['qwen3', { rope_parameters: { full_attention: { rope_type: 'default' } } }, 'full_attention'],
])('%s with %j is refused by name', (modelType, more, what) => {
  expect(() => open(modelType, more)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(what) }))
})

interface Rope {
  config: Record<string, unknown>
  expected: { inv_freq: number[]; attention_factor: number } | null
}

// frequencies are f32 in transformers, made by a few operations each: two units in the last place
it.each((fixture('rope.json') as Rope[]).map((row) => [JSON.stringify(row.config), row] as const))(
  'rotation of %s',
  (_, { config, expected }) => {
    const ours = () => readRope(new Config({ ...base('llama'), ...config }, 'llama'), 16)
    if (expected === null) return expect(ours).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG' }))
    const { invFreq, attentionFactor } = ours()
    expect(invFreq).toHaveLength(expected.inv_freq.length)
    for (const [i, f] of expected.inv_freq.entries()) expect(Math.abs(invFreq[i]! / f - 1)).toBeLessThan(2.5e-7)
    expect(attentionFactor).toBeCloseTo(expected.attention_factor, 12)
  },
)
