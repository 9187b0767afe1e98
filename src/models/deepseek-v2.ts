/** DeepSeek V2, V2.5, V2-Lite and Coder-V2 (DeepSeek-AI 2024): latent attention, and a router by softmax whose weights aren't made to add up. */
import { f32 } from '../formats/gguf/write.ts'
import { Config } from './config.ts'
import { type DeepseekParts, deepseek, readGroups } from './deepseek.ts'
import { DEEPSEEK_GGUF, deepseekConfig, describeDeepseek, GATING, gatingOf, headRows } from './deepseek-gguf.ts'
import { readRouting } from './experts.ts'
import type { Family } from './family.ts'
import { withKeys } from './gguf-describe.ts'

const DEFAULTS = {
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_rope_head_dim: 64,
  qk_nope_head_dim: 128,
  v_head_dim: 128,
  first_k_dense_replace: 0,
  moe_intermediate_size: 1407,
  n_shared_experts: 2,
  n_routed_experts: 64,
  topk_method: 'greedy',
  max_position_embeddings: 2048,
}

/** routed experts of V2 and V2.5, which has groups: V2-Lite and Coder-V2-Lite have none */
const GROUPED = 160

export const deepseekV2: Family = {
  modelType: 'deepseek_v2',
  architecture: 'DeepseekV2ForCausalLM',
  gguf: {
    ...DEEPSEEK_GGUF,
    holds: (model) => [GATING.unsaid, GATING.softmax].includes(gatingOf(model)),
    headRows,
    describe(c) {
      const grouped = c.json.topk_method === 'group_limited_greedy'
      const groups = grouped ? { count: c.count('n_group'), kept: c.count('topk_group') } : { count: 1, kept: 1 }
      return withKeys(describeDeepseek(c, GATING.softmax, groups), { expert_weights_scale: f32(c.number('routed_scaling_factor', 1)) })
    },
    config(model) {
      const config = deepseekConfig(model, GROUPED)
      return { ...config, topk_method: (config.n_group as number) > 1 ? 'group_limited_greedy' : 'greedy' }
    },
  },
  open(json) {
    const c = new Config(json, 'deepseek_v2', DEFAULTS)
    c.only('hidden_act', 'silu', 'swish')
    // the model's own code does what it says; transformers' class reads it and does nothing
    c.only('norm_topk_prob', false, null)
    c.only('scoring_func', 'softmax')
    return deepseek(c, { interleaved: true, router: readRouter(c), mlpBias: c.flag('mlp_bias', false) })
  },
}

/** Softmax scores times a factor; of all experts or of those in the best groups, a group as good as its best expert. */
function readRouter(c: Config): DeepseekParts['router'] {
  const { k, experts } = readRouting(c, 'n_routed_experts')
  const method = c.json.topk_method === undefined ? DEFAULTS.topk_method : c.json.topk_method
  if (method !== 'greedy' && method !== 'group_limited_greedy')
    c.fail('topk_method', `is ${JSON.stringify(method)}: saqr's deepseek_v2 does greedy and group_limited_greedy`)
  const groups = method === 'greedy' ? {} : readGroups(c, { k, experts }, 1)
  return { k, experts, routing: { k, ...groups, scale: c.above(0, 'routed_scaling_factor', 1) }, exact: {} }
}
