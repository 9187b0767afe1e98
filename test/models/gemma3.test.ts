/** What recorded models in f32 can't show of Gemma 3: √C in the activations' type, which layer looks where, names of either age, files of the 27B. */
import { expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { inspect } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'
import { attentionOp } from '../../src/ops/attention/op.ts'
import { scaleOp } from '../../src/ops/scale/op.ts'

const SIZES = { intermediate_size: 8, num_attention_heads: 1, num_key_value_heads: 1, head_dim: 16, vocab_size: 8 }

function nodesOf(config: Record<string, unknown>, activation: 'bf16' | 'f32') {
  const model = openConfig(config)
  const adapter = chooseAdapter({ kind: 'full' }, { nf4: false, head: model.head.path, tiedTo: model.head.tiedTo }, true)
  return inspect(model, adapter, activation).nodes
}

// transformers: embed_scale.to(weight.dtype); √5376 is 73.32, in bf16 73.5
it.each([
  ['bf16', 73.5],
  ['f32', Math.fround(Math.sqrt(5376))],
] as const)('embeddings are scaled by √C as %s has it', (activation, expected) => {
  const text = { ...SIZES, hidden_size: 5376, num_hidden_layers: 1 }
  for (const config of [
    { ...text, model_type: 'gemma3_text' },
    { model_type: 'gemma3', text_config: text },
  ]) {
    const scales = nodesOf(config, activation).filter((node) => node.op === scaleOp)
    expect(scales.map(({ attrs }) => (attrs as { factor: number }).factor)).toEqual([expected])
  }
})

it.each([
  [{}, '11111011'],
  [{ sliding_window_pattern: 3 }, '11011011'],
  [{ sliding_window_pattern: 1 }, '00000000'],
  [{ layer_types: Array.from({ length: 8 }, (_, i) => (i < 2 ? 'full_attention' : 'sliding_attention')) }, '00111111'],
])('%j: layers over the window are %s', (more, expected) => {
  const nodes = nodesOf({ ...SIZES, model_type: 'gemma3_text', hidden_size: 16, num_hidden_layers: 8, sliding_window: 7, ...more }, 'f32')
  const windows = nodes.filter((node) => node.op === attentionOp).map(({ attrs }) => (attrs as { window: number }).window)
  expect(windows.map((window) => (window === 7 ? 1 : window)).join('')).toBe(expected)
})

const { composite } = openConfig({ model_type: 'gemma3', text_config: SIZES })

it.each([
  ['language_model.model.layers.3.mlp.up_proj.weight', 'model.language_model.layers.3.mlp.up_proj.weight'],
  ['language_model.layers.3.mlp.up_proj.weight', 'model.language_model.layers.3.mlp.up_proj.weight'],
  ['model.language_model.embed_tokens.weight', 'model.language_model.embed_tokens.weight'],
  ['language_model.lm_head.weight', 'lm_head.weight'],
  ['lm_head.weight', 'lm_head.weight'],
  ['vision_tower.vision_model.post_layernorm.bias', 'model.vision_tower.vision_model.post_layernorm.bias'],
  ['model.vision_tower.post_layernorm.bias', 'model.vision_tower.post_layernorm.bias'],
  ['multi_modal_projector.mm_soft_emb_norm.weight', 'model.multi_modal_projector.mm_soft_emb_norm.weight'],
])('%s is %s', (given, meant) => expect(composite!.renamed(given)).toBe(meant))
