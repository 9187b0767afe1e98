/** What of a config.json makes another model, and what doesn't. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { meaningOf } from '../../src/models/meaning.ts'

const SIZES = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 96,
  vocab_size: 100,
  max_position_embeddings: 256,
  hidden_act: 'silu',
  rope_theta: 5e5,
  rope_scaling: { type: 'linear', factor: 2 },
  rms_norm_eps: 1e-5,
}
const QWEN = { ...SIZES, model_type: 'qwen2', use_sliding_window: false, sliding_window: 4096, max_window_layers: 1 }

describe('means the same', () => {
  const { rope_theta, rope_scaling: _, ...plain } = SIZES
  it.each([
    [
      'who wrote it',
      SIZES,
      { ...SIZES, transformers_version: '5.23.0', _name_or_path: 'x', architectures: ['B', 'A'], unsloth_fixed: true },
    ],
    ['how it computes', SIZES, { ...SIZES, use_cache: false, torch_dtype: 'float16', dtype: 'bfloat16', initializer_range: 1 }],
    ['defaults that are said', SIZES, { ...SIZES, head_dim: 16, attention_bias: false, mlp_bias: false, tie_word_embeddings: false }],
    ['an activation’s other name', SIZES, { ...SIZES, hidden_act: 'swish' }],
    ['what is not used', SIZES, { ...SIZES, is_encoder_decoder: false }],
    ['rope parameters by their newer name', SIZES, { ...plain, rope_parameters: { rope_type: 'linear', factor: 2, rope_theta } }],
    ['a window that no layer has', QWEN, { ...QWEN, sliding_window: null, layer_types: ['full_attention', 'full_attention'] }],
  ])('%s', (_, one, other) => {
    expect(meaningOf(other)).toEqual(meaningOf(one))
  })
})

describe('means another', () => {
  it.each<[string, object]>([
    ['rms_norm_eps', { rms_norm_eps: 1e-6 }],
    ['tie_word_embeddings', { tie_word_embeddings: true }],
    ['attention_bias', { attention_bias: true }],
    ['num_key_value_heads', { num_key_value_heads: 4 }],
    ['rope_parameters', { rope_theta: 1e6 }],
    ['rope_parameters', { rope_scaling: { type: 'linear', factor: 4 } }],
  ])('%s', (key, change) => {
    const [there, now] = [meaningOf(SIZES), meaningOf({ ...SIZES, ...change })]
    const keys = [...new Set([...Object.keys(there), ...Object.keys(now)])]
    expect(keys.filter((k) => JSON.stringify(there[k]) !== JSON.stringify(now[k]))).toEqual([key])
  })
  it('a window that layers have', () => {
    const slides = { ...QWEN, use_sliding_window: true }
    expect(meaningOf(slides)).not.toEqual(meaningOf(QWEN))
    expect(meaningOf({ ...slides, sliding_window: 100 })).not.toEqual(meaningOf(slides))
    expect(meaningOf({ ...slides, max_window_layers: 0 })).not.toEqual(meaningOf(slides))
  })
})

/** every family's fixtures: nothing that changes with a number of the file is lost on the way */
const fixtures = join(import.meta.dirname, '../fixtures/families')
describe.each(readdirSync(fixtures).filter((name) => !name.includes('.')))('%s', (name) => {
  it('says what it read, again and again', () => {
    const config = JSON.parse(readFileSync(join(fixtures, name, 'model/config.json'), 'utf8'))
    const meaning = meaningOf(config)
    expect(meaning).toEqual(meaningOf(structuredClone(config)))
    const text = JSON.stringify(meaning)
    for (const key of ['num_hidden_layers', 'hidden_size', 'rms_norm_eps', 'rope_theta']) expect(text, key).toContain(`"${key}"`)
    expect(text).not.toMatch(/transformers_version|architectures|_name_or_path/)
  })
})
