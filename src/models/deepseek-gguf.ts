/** How llama.cpp keeps DeepSeek's models: one architecture for V2 and V3, kv_b_proj by heads in files since April 2025. */

import type { GgufLayout } from '../formats/gguf/layout.ts'
import type { GgufModel } from '../formats/gguf/model.ts'
import { latentRopeScaling } from '../formats/gguf/rope.ts'
import { type Entries, f32, u32 } from '../formats/gguf/write.ts'
import type { JsonObject } from '../formats/json.ts'
import { Float } from '../formats/json.ts'
import type { Config } from './config.ts'
import { type Described, describeRope, describeSizes } from './gguf-describe.ts'
import { scalingOf } from './rope.ts'

/** What a file says of its router: `expert_gating_func`. */
export const GATING = { unsaid: 0, softmax: 1, sigmoid: 2 }

export const gatingOf = (model: GgufModel) => model.meta.optionalCount(model.key('expert_gating_func')) ?? GATING.unsaid

export const DEEPSEEK_GGUF: Omit<GgufLayout, 'config' | 'holds'> = {
  architecture: 'deepseek2',
  experts: true,
  heldBy: 'expert_gating_func',
  keys: [
    'attention.q_lora_rank',
    'attention.kv_lora_rank',
    'attention.key_length_mla',
    'attention.value_length_mla',
    'expert_feed_forward_length',
    'expert_shared_count',
    'expert_weights_scale',
    'expert_group_count',
    'expert_group_used_count',
    'leading_dense_block_count',
    'nextn_predict_layers',
  ],
  parts: {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_q_a: 'self_attn.q_a_proj',
    attn_q_a_norm: 'self_attn.q_a_layernorm',
    attn_q_b: 'self_attn.q_b_proj',
    attn_kv_a_mqa: 'self_attn.kv_a_proj_with_mqa',
    attn_kv_a_norm: 'self_attn.kv_a_layernorm',
    attn_kv_b: 'self_attn.kv_b_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
    ffn_gate_shexp: 'mlp.shared_experts.gate_proj',
    ffn_up_shexp: 'mlp.shared_experts.up_proj',
    ffn_down_shexp: 'mlp.shared_experts.down_proj',
    ffn_gate_inp: 'mlp.gate',
    'exp_probs_b.bias': 'mlp.gate.e_score_correction_bias',
    ffn_gate_exps: 'mlp.experts.*.gate_proj',
    ffn_up_exps: 'mlp.experts.*.up_proj',
    ffn_down_exps: 'mlp.experts.*.down_proj',
    // of the layers behind the last, which predict further tokens
    'nextn.eh_proj': 'eh_proj',
    'nextn.embed_tokens': 'embed_tokens',
    'nextn.enorm': 'enorm',
    'nextn.hnorm': 'hnorm',
    'nextn.shared_head_head': 'shared_head.head',
    'nextn.shared_head_norm': 'shared_head.norm',
  },
  byHead: { 'self_attn.kv_b_proj': ['attn_k_b', 'attn_v_b'] },
}

/** config.json of any of them. `grouped`: how many experts a published model has whose groups older files don't tell of. */
export function deepseekConfig(model: GgufModel, grouped: number): JsonObject {
  const rotated = model.count('rope.dimension_count')
  // of heads as they are once expanded; older files have them where others have every model's
  const [key, value] = ['key_length', 'value_length'].map((name) =>
    model.has('blk.0.attn_kv_b.weight') ? model.count(`attention.${name}`) : model.count(`attention.${name}_mla`),
  ) as [number, number]
  const count = (name: string) => model.meta.optionalCount(model.key(name))
  const experts = model.count('expert_count')
  const scale = model.number('expert_weights_scale', 1)
  if (count('expert_group_count') === undefined && experts === grouped)
    throw model.unsupported(
      `has ${experts} experts but no ${model.key('expert_group_count')}: it was converted before llama.cpp kept the router's groups (October 2025). Convert the model to GGUF again`,
    )
  const { layers, further } = layersOf(model)
  return {
    hidden_act: 'silu',
    ...model.sizes,
    num_hidden_layers: layers,
    ...(further > 0 ? { num_nextn_predict_layers: further } : {}),
    num_key_value_heads: model.count('attention.head_count'),
    ...latentRopeScaling(model.meta, model.architecture),
    attention_bias: model.has('blk.0.attn_kv_a_mqa.bias'),
    q_lora_rank: count('attention.q_lora_rank') || null,
    kv_lora_rank: model.count('attention.kv_lora_rank'),
    qk_rope_head_dim: rotated,
    qk_nope_head_dim: key - rotated,
    v_head_dim: value,
    first_k_dense_replace: count('leading_dense_block_count') ?? 0,
    n_routed_experts: experts,
    num_experts_per_tok: model.count('expert_used_count'),
    moe_intermediate_size: model.count('expert_feed_forward_length'),
    n_shared_experts: model.count('expert_shared_count'),
    routed_scaling_factor: Number.isInteger(scale) ? new Float(scale) : scale,
    norm_topk_prob: model.meta.optionalBoolean(model.key('expert_weights_norm')) ?? false,
    n_group: count('expert_group_count') || 1,
    topk_group: count('expert_group_used_count') || 1,
  }
}

/**
 * Layers, and those behind them that predict further tokens. llama.cpp counts both as blocks, Hugging Face's config.json only the first; files that lost
 * the others may still tell of them, with a block_count that leaves them out.
 */
function layersOf(model: GgufModel): { layers: number; further: number } {
  const [blocks, stated] = [model.count('block_count'), model.meta.optionalCount(model.key('nextn_predict_layers')) ?? 0]
  const key = model.key('nextn_predict_layers')
  if (stated >= blocks) throw model.unsupported(`says ${key} ${stated}, of ${blocks} blocks`)
  const predicts = (block: number) => model.has(`blk.${block}.nextn.eh_proj.weight`)
  const found = Array.from({ length: blocks }, (_, block) => block).filter(predicts)
  if (found.length === 0) return { layers: blocks, further: 0 }
  if (found.length !== stated || found[0] !== blocks - stated)
    throw model.unsupported(`says ${key} ${stated}, but blocks ${found.join(', ')} of ${blocks} have what such a layer has (nextn.eh_proj)`)
  return { layers: blocks - stated, further: stated }
}

/** The way back. `gating`: how the router's scores are made, which a file says by number. */
export function describeDeepseek(c: Config, gating: number, groups: { count: number; kept: number }): Described {
  const [own, rotated, rank] = [c.count('qk_nope_head_dim'), c.count('qk_rope_head_dim'), c.count('kv_lora_rank')]
  const { factor, mscale_all_dim: all } = scalingOf(c)
  const rope = describeRope(c, rotated)
  // a tenth of it, as llama.cpp's converter writes
  const yarn: Entries =
    'rope.scaling.type' in rope.keys && factor !== 1 && all ? { 'rope.scaling.yarn_log_multiplier': f32(0.1 * (all as number)) } : {}
  return {
    ...rope,
    keys: {
      ...describeSizes(c),
      ...rope.keys,
      ...yarn,
      'attention.head_count_kv': u32(1), // of the latent, which all heads share
      'attention.key_length': u32(rank + rotated),
      'attention.value_length': u32(rank),
      'attention.key_length_mla': u32(own + rotated),
      'attention.value_length_mla': u32(c.count('v_head_dim')),
      ...(c.json.q_lora_rank === null ? {} : { 'attention.q_lora_rank': u32(c.count('q_lora_rank')) }),
      'attention.kv_lora_rank': u32(rank),
      'rope.dimension_count': u32(rotated),
      leading_dense_block_count: u32(c.count('first_k_dense_replace', undefined, 0)),
      expert_feed_forward_length: u32(c.count('moe_intermediate_size')),
      expert_count: u32(c.count('n_routed_experts')),
      expert_used_count: u32(c.count('num_experts_per_tok')),
      expert_shared_count: u32(c.count('n_shared_experts')),
      expert_group_count: u32(groups.count),
      expert_group_used_count: u32(groups.kept),
      expert_gating_func: u32(gating),
    },
  }
}

/** rows of a head in kv_b_proj */
export const headRows = (c: Config): readonly [number, number] => [c.count('qk_nope_head_dim'), c.count('v_head_dim')]
