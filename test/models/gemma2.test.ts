/** What recorded models in f32 can't show of Gemma 2: numbers that are rounded to the activations' type before they are used. */
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { inspect } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { scaleOp } from '../../src/ops/scale/op.ts'

// transformers: embed_scale.to(weight.dtype); √3584 is 59.8665, in bf16 59.75: 0.2 % of every activation
it.each([
  ['bf16', 59.75],
  ['f32', Math.fround(Math.sqrt(3584))],
] as const)('embeddings are scaled by √C as %s has it', (activation, expected) => {
  const sizes = { hidden_size: 3584, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1 }
  const model = openConfig({ model_type: 'gemma2', ...sizes, vocab_size: 8, rope_theta: 1e4, rms_norm_eps: 1e-6 })
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path, tiedTo: model.head.tiedTo }, true)
  const scales = inspect(model, adapter, activation).nodes.filter((node) => node.op === scaleOp)
  expect(scales.map(({ attrs }) => (attrs as { factor: number }).factor)).toEqual([expected])
})

it.each([
  [{ query_pre_attn_scalar: -1 }, 'query_pre_attn_scalar'],
  [{ query_pre_attn_scalar: 0 }, 'query_pre_attn_scalar'],
  [{ query_pre_attn_scalar: 256.5 }, 'query_pre_attn_scalar'],
  [{ attn_logit_softcapping: 1e-60 }, 'attn_logit_softcapping'],
  [{ final_logit_softcapping: 1e60 }, 'final_logit_softcapping'],
  [{ sliding_window: null }, 'sliding_window'],
  [{ layer_types: ['toString'] }, 'layer_types'],
  [{ rms_norm_eps: -1 }, 'rms_norm_eps'],
  [{ rope_theta: 0 }, 'rope_theta'],
])('a config that no kernel can compute with is refused by name: %o', (wrong, key) => {
  const sizes = {
    hidden_size: 32,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    head_dim: 16,
  }
  const open = (more: object) => openConfig({ model_type: 'gemma2', ...sizes, vocab_size: 8, rope_theta: 1e4, rms_norm_eps: 1e-6, ...more })
  expect(open({ sliding_window: 5e9 }).layers).toBe(1) // longer than any row: hides nothing
  expect(() => open(wrong)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG', message: expect.stringContaining(key) }))
})
