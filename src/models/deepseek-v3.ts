/** DeepSeek V3, V3.1, R1 and Moonlight (DeepSeek-AI 2024): latent attention, and a router by sigmoids with a buffer that only chooses. */
import { bool, f32 } from '../formats/gguf/write.ts'
import { Config } from './config.ts'
import { type DeepseekParts, deepseek, readGroups } from './deepseek.ts'
import { DEEPSEEK_GGUF, deepseekConfig, describeDeepseek, GATING, gatingOf, headRows } from './deepseek-gguf.ts'
import { readRouting } from './experts.ts'
import type { Family } from './family.ts'
import { withKeys } from './gguf-describe.ts'

const DEFAULTS = {
  num_key_value_heads: 128,
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_rope_head_dim: 64,
  qk_nope_head_dim: 128,
  v_head_dim: 128,
  first_k_dense_replace: 3,
  moe_intermediate_size: 2048,
  n_shared_experts: 1,
  n_routed_experts: 256,
  num_experts_per_tok: 8,
  n_group: 8,
  topk_group: 4,
  max_position_embeddings: 4096,
}

/** experts whose scores make their group's */
const BEST = 2

export const deepseekV3: Family = {
  modelType: 'deepseek_v3',
  architecture: 'DeepseekV3ForCausalLM',
  gguf: {
    ...DEEPSEEK_GGUF,
    holds: (model) => gatingOf(model) === GATING.sigmoid,
    headRows,
    describe: (c) =>
      withKeys(describeDeepseek(c, GATING.sigmoid, { count: c.count('n_group'), kept: c.count('topk_group') }), {
        expert_weights_scale: f32(c.number('routed_scaling_factor', 2.5)),
        expert_weights_norm: bool(c.flag('norm_topk_prob', true)),
      }),
    config: (model) => deepseekConfig(model, DEFAULTS.n_routed_experts),
  },
  open(json) {
    const c = new Config(json, 'deepseek_v3', DEFAULTS)
    c.only('hidden_act', 'silu', 'swish')
    // transformers reads neither: a file that says another was trained with another router
    c.only('scoring_func', 'sigmoid')
    c.only('topk_method', 'noaux_tc')
    // layers behind the last predict further tokens and are no part of the model
    const further = ['num_nextn_predict_layers', 'num_mtp_layers'].filter((key) => c.count(key, 1, 0) > 0)
    const saved = Object.fromEntries(further.map((key) => [key, 0]))
    return deepseek(c, { interleaved: c.flag('rope_interleave', true), router: readRouter(c), mlpBias: false, saved })
  },
}

/** Sigmoid scores; experts of the best groups, a group as good as its two best; weights of sum 1 where norm_topk_prob, times a factor. */
function readRouter(c: Config): DeepseekParts['router'] {
  const { k, experts } = readRouting(c, 'n_routed_experts')
  const groups = readGroups(c, { k, experts }, BEST)
  const renormalise = c.flag('norm_topk_prob', true)
  const scale = c.above(0, 'routed_scaling_factor', 2.5)
  return {
    k,
    experts,
    routing: { k, sigmoid: true, ...groups, renormalise, scale, epsilon: 1e-20 },
    exact: { bias: 'e_score_correction_bias' },
  }
}
