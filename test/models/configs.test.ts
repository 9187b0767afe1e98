/** config.json as transformers reads it: no key of its classes goes unread without a reason, and rotation is the one it means. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parametersOf } from '../../src/engine/settle.ts'
import { Config } from '../../src/models/config.ts'
import { HARMLESS, UNUSED } from '../../src/models/config-keys.ts'
import { readRopes } from '../../src/models/gemma3.ts'
import { families, openConfig } from '../../src/models/registry.ts'
import { readRope, scaleOfScaled } from '../../src/models/rope.ts'

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
/** a text model that stands beside others in its checkpoint has a configuration within theirs */
const within = (model_type: string) => families.find((family) => family.modelType === model_type)?.beside !== undefined
/** what a model of these sizes has to say beside them */
const latent = { num_key_value_heads: 2, first_k_dense_replace: 1, head_dim: 64 }
const needed: Readonly<Record<string, object>> = {
  deepseek_v2: { ...latent, num_experts_per_tok: 6, topk_method: 'group_limited_greedy', n_group: 4, topk_group: 2 },
  deepseek_v3: latent,
}
const base = (model_type: string, more: Record<string, unknown> = {}) =>
  within(model_type) ? { model_type, text_config: { ...size, ...more } } : { ...size, model_type, ...needed[model_type], ...more }
/** model_type of the text model */
const textOf = (modelType: string) => (within(modelType) ? `${modelType}_text` : modelType)

/** the keys that are looked at while the config is opened */
function keysRead(config: Record<string, unknown>): Set<string> {
  const read = new Set<string>()
  const watch = (of: Record<string, unknown>): Record<string, unknown> =>
    new Proxy(of, {
      get(target, key) {
        if (typeof key === 'string') read.add(key)
        const value = target[key as string]
        return key === 'text_config' ? watch(value as Record<string, unknown>) : value
      },
    })
  openConfig(watch(config))
  return read
}

describe.each(families.map(({ modelType }) => modelType))('%s', (modelType) => {
  const own = recorded.families[textOf(modelType)]!
  const factors = new Array(8).fill(1)
  const yarn = { rope_type: 'yarn', factor: 2, short_factor: factors, long_factor: factors } // Phi 3's yarn is longrope
  const rope = modelType.startsWith('gemma3') ? { full_attention: yarn } : yarn
  const read = keysRead(base(modelType, { rope_parameters: rope, use_sliding_window: true }))
  for (const key of families.find((family) => family.modelType === modelType)!.beside ?? []) read.add(key)

  it.each([...new Set([...Object.keys(own), ...Object.keys(recorded.families[modelType]!)]), ...recorded.others, ...recorded.generation])(
    '%s is read, or has no effect',
    (key) => {
      // by the checkpoint's reader
      if (key === 'quantization_config') return
      // rope parameters of a kind of layer have their own (rotations of a gemma3, below)
      if (key === 'original_max_position_embeddings' && modelType.startsWith('gemma3')) return
      expect(read.has(key) || HARMLESS.has(key) || key in UNUSED, `${key}: not classified`).toBe(true)
    },
  )

  it('nothing is called harmless that is read', () => {
    expect([...read].filter((key) => HARMLESS.has(key) && key !== 'model_type')).toEqual([])
  })

  it('what a file leaves out is as transformers has it', () => {
    const given = { ...size, ...needed[modelType], num_attention_heads: modelType === 'deepseek_v3' ? 128 : 64, hidden_size: 1024 }
    const left = Object.fromEntries(Object.entries(given).filter(([key]) => !/max_position|key_value/.test(key)))
    const model = openConfig(within(modelType) ? { model_type: modelType, text_config: left } : { ...left, model_type: modelType })
    const heads = (own.num_key_value_heads as number | null) ?? 64
    const rows = (name: string) => [...parametersOf(model).values()].find((t) => t.name.endsWith(`layers.0.self_attn.${name}.weight`))?.rows
    // out of a latent: as many as there are heads
    const latent = rows('kv_b_proj') === undefined ? undefined : heads * 16
    const keys = rows('k_proj') ?? latent ?? (rows('qkv_proj')! - 64 * 16) / 2
    expect([model.maxPositions, keys]).toEqual([own.max_position_embeddings, heads * 16])
  })
})

it('every family is recorded', () => {
  expect(Object.keys(recorded.families).sort()).toEqual(families.map(({ modelType }) => modelType).sort())
})

const open = (modelType: string, more: Record<string, unknown>) => openConfig(base(modelType, more))

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
  ['deepseek_v2', { topk_method: 'greedy', n_group: null, topk_group: null, norm_topk_prob: null }],
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
  ...['qwen2', 'qwen3', 'gemma2', 'gemma3_text', 'gemma3', 'smollm3'].map((type): [string, Record<string, unknown>, string] => [
    type,
    { layer_types: ['full_attention'] },
    'layer_types',
  ]),
  ...['mistral', 'gemma2', 'gemma3_text', 'gemma3'].map((type): [string, Record<string, unknown>, string] => [
    type,
    { num_key_value_heads: null },
    'num_key_value_heads',
  ]),
  ...['qwen2', 'smollm3', 'phi3'].map((type): [string, Record<string, unknown>, string] => [type, { head_dim: null }, 'head_dim']),
  ['deepseek_v2', { norm_topk_prob: true }, 'norm_topk_prob'],
  ['deepseek_v2', { topk_method: 'noaux_tc' }, 'topk_method is "noaux_tc"'],
  ['deepseek_v2', { scoring_func: 'sigmoid' }, 'scoring_func'],
  ['deepseek_v3', { scoring_func: 'softmax' }, 'scoring_func'],
  ['deepseek_v3', { topk_method: 'greedy' }, 'topk_method'],
  ['deepseek_v2', { n_group: 3 }, 'n_group is 3'],
  ['deepseek_v2', { num_experts_per_tok: null }, 'num_experts_per_tok'],
  ['qwen3', { rope_parameters: { full_attention: { rope_type: 'default' } } }, 'full_attention'],
])('%s with %j is refused by name', (modelType, more, what) => {
  expect(() => open(modelType, more)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(what) }))
})

it.each([
  [{ layer_types: ['attention', 'full_attention'] }, 'layer_types'],
  [{ sliding_window: null }, 'sliding_window'],
  [{ sliding_window_pattern: 0 }, 'sliding_window_pattern'],
  [{ use_bidirectional_attention: true }, 'use_bidirectional_attention'],
  [{ hidden_activation: 'silu' }, 'hidden_activation'],
  [{ attn_logit_softcapping: -1 }, 'attn_logit_softcapping'],
  [{ final_logit_softcapping: 0 }, 'final_logit_softcapping'],
  [{ query_pre_attn_scalar: 0 }, 'query_pre_attn_scalar'],
  [{ head_dim: null }, 'head_dim'],
  [{ rope_parameters: { rope_type: 'linear', factor: 8 } }, 'rope_parameters.rope_type'],
  [{ per_layer_config: { 0: {} } }, 'per_layer_config'],
  [{ attention_dropout: 0.1 }, 'attention_dropout'],
])('gemma 3 with %j is refused by name, alone and beside a vision tower', (more, what) => {
  for (const type of ['gemma3_text', 'gemma3'])
    expect(() => open(type, more)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(what) }))
  expect(() => open('gemma3', more)).toThrow('text_config')
})

it('a gemma3 file may leave its text_config to the defaults, of another model it is refused', () => {
  const { layers, channels, vocab, head } = openConfig({ model_type: 'gemma3', vision_config: {} })
  expect({ layers, channels, vocab, head }).toEqual({
    layers: 26,
    channels: 2304,
    vocab: 262_208,
    head: { path: 'lm_head', tiedTo: 'model.language_model.embed_tokens' },
  })
  expect(() => open('gemma3', { model_type: 'llama' })).toThrow('text_config.model_type is "llama"')
  expect(() => openConfig({ model_type: 'gemma3', text_config: 3 })).toThrow('text_config must be an object')
})

it('whether the head is tied is said for the whole, not by its text_config', () => {
  const tied = (whole: object, text: object) => openConfig({ ...base('gemma3', { ...text }), ...whole }).head.tiedTo !== undefined
  expect(tied({}, { tie_word_embeddings: false })).toBe(true)
  expect(tied({ tie_word_embeddings: false }, { tie_word_embeddings: true })).toBe(false)
})

it.each([
  [{ n_group: 3 }, 'n_group is 3: 256 experts'],
  [{ n_routed_experts: 8, n_group: 8 }, 'groups of 2 or more'],
  [{ topk_group: 9 }, 'topk_group is 9, of 8 groups'],
  [{ n_routed_experts: 16, topk_group: 2 }, 'num_experts_per_tok is 8, of the 4 experts'],
  [{ routed_scaling_factor: 0 }, 'routed_scaling_factor'],
  [{ norm_topk_prob: null }, 'norm_topk_prob'],
  [{ first_k_dense_replace: null }, 'first_k_dense_replace'],
  [{ num_key_value_heads: 1 }, 'num_key_value_heads is 1'],
  [{ head_dim: 16 }, 'head_dim is 16'],
  [{ qk_head_dim: 16 }, 'qk_head_dim is 16'],
  [{ qk_rope_head_dim: 7, head_dim: 7 }, 'head_dim is 7'],
  [{ v_head_dim: null }, 'v_head_dim'],
  [{ kv_lora_rank: null }, 'kv_lora_rank'],
  [{ q_lora_rank: 0 }, 'q_lora_rank'],
  [{ rope_scaling: { type: 'yarn', factor: '4', mscale_all_dim: 1, original_max_position_embeddings: 64 } }, 'factor'],
  [{ rope_scaling: { type: 'yarn', factor: 4, mscale_all_dim: '1', original_max_position_embeddings: 64 } }, 'mscale_all_dim'],
])('deepseek_v3 with %j is refused by name', (more, what) => {
  expect(() => open('deepseek_v3', more)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(what) }))
})

it('deepseek_v3 has the sizes of its class where the file says none, and queries of x itself where q_lora_rank is null', () => {
  const shapes = (more: object) => {
    const parameters = [...parametersOf(open('deepseek_v3', { ...more })).values()]
    return Object.fromEntries(
      parameters.flatMap(({ name, rows, cols }) => {
        const [, own] = /^model\.layers\.0\.self_attn\.(.*)\.weight$/.exec(name) ?? []
        return own ? [[own, [rows, cols]]] : []
      }),
    )
  }
  const rest = {
    kv_a_proj_with_mqa: [512 + 64, 32],
    kv_a_layernorm: [1, 512],
    kv_b_proj: [2 * (128 + 128), 512],
    o_proj: [32, 2 * 128],
  }
  expect(shapes({})).toEqual({ q_a_proj: [1536, 32], q_a_layernorm: [1, 1536], q_b_proj: [2 * 192, 1536], ...rest })
  expect(shapes({ q_lora_rank: null })).toEqual({ q_proj: [2 * 192, 32], ...rest })
})

it.each(
  (fixture('rope-deepseek.json') as (Rope & { expected: { scale: number } | null })[]).map(
    (row) => [JSON.stringify(row.config), row] as const,
  ),
)('rotation and scale of a deepseek_v3 with %s', (_, { config, expected }) => {
  const c = new Config({ ...size, head_dim: undefined, ...config }, 'deepseek_v3')
  const ours = () => [readRope(c, 16), scaleOfScaled(c, 24 ** -0.5)] as const
  if (expected === null) return expect(ours).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG' }))
  const [{ invFreq, attentionFactor }, scale] = ours()
  expect(invFreq).toHaveLength(expected.inv_freq.length)
  for (const [i, f] of expected.inv_freq.entries()) expect(Math.abs(invFreq[i]! / f - 1)).toBeLessThan(2.5e-7)
  expect(attentionFactor).toBeCloseTo(expected.attention_factor, 12)
  expect(scale).toBeCloseTo(expected.scale, 12)
})

interface Rope {
  config: Record<string, unknown>
  expected: { inv_freq: number[]; attention_factor: number } | null
}

// frequencies are f32 in transformers, made by a few operations each: two units in the last place
it.each((fixture('rope.json') as Rope[]).map((row) => [JSON.stringify(row.config), row] as const))(
  'rotation of %s',
  (_, { config, expected }) => {
    const ours = () => readRope(new Config(base('llama', config), 'llama'), 16)
    if (expected === null) return expect(ours).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG' }))
    const { invFreq, attentionFactor } = ours()
    expect(invFreq).toHaveLength(expected.inv_freq.length)
    for (const [i, f] of expected.inv_freq.entries()) expect(Math.abs(invFreq[i]! / f - 1)).toBeLessThan(2.5e-7)
    expect(attentionFactor).toBeCloseTo(expected.attention_factor, 12)
  },
)

interface Ropes {
  config: Record<string, unknown>
  expected: Record<'full_attention' | 'sliding_attention', { inv_freq: number[]; attention_factor: number }> | null
}

it.each((fixture('ropes.json') as Ropes[]).map((row) => [JSON.stringify(row.config), row] as const))(
  'rotations of a gemma3 with %s',
  (_, { config, expected }) => {
    const ours = () => readRopes(new Config({ ...size, ...config }, 'gemma3_text'), 16)
    if (expected === null) return expect(ours).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG' }))
    const { full, sliding } = ours()
    for (const [table, theirs] of [
      [full, expected.full_attention],
      [sliding, expected.sliding_attention],
    ] as const) {
      expect(table.invFreq).toHaveLength(theirs.inv_freq.length)
      for (const [i, f] of theirs.inv_freq.entries()) expect(Math.abs(table.invFreq[i]! / f - 1)).toBeLessThan(2.5e-7)
      expect(table.attentionFactor).toBeCloseTo(theirs.attention_factor, 12)
    }
  },
)
