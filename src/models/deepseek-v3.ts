/**
 * DeepSeek V3, V3.1, R1 and Moonlight (DeepSeek-AI 2024): keys and values come out of one latent of a token, queries too or of x itself; a part of
 * each head, whose key all heads share, is rotated (MLA). Layers of dense MLPs; those with experts are refused.
 */
import { expandKv } from '../ops/expand-kv/op.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import { expertTargets } from './experts.ts'
import type { Family } from './family.ts'
import { gatedMlp } from './mlp.ts'
import { norm, readNorm } from './norm.ts'
import { type RopeTable, readRope, scaleOfScaled } from './rope.ts'
import { attended, rotate } from './self-attention.ts'
import type { Trace } from './trace.ts'

/** what files call an expert's linears */
const NAMES = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }

const DEFAULTS = {
  num_key_value_heads: 128,
  kv_lora_rank: 512,
  q_lora_rank: 1536,
  qk_rope_head_dim: 64,
  qk_nope_head_dim: 128,
  v_head_dim: 128,
  first_k_dense_replace: 3,
  max_position_embeddings: 4096,
}

/** of the latents, whatever rms_norm_eps says */
const LATENT_NORM = { eps: 1e-6 }

/** keys that only layers with experts read */
const MIXTURE = [
  'moe_intermediate_size',
  'n_shared_experts',
  'n_routed_experts',
  'num_experts_per_tok',
  'n_group',
  'topk_group',
  'norm_topk_prob',
  'routed_scaling_factor',
]

interface Latent {
  heads: number
  /** channels of the latent that queries come of; null: they come of x */
  queryRank: number | null
  /** channels of the latent that keys and values come of */
  rank: number
  /** channels of a query or key head that are not rotated: its own */
  own: number
  /** channels that are; of the key one head for all */
  rotated: number
  valueDim: number
}

function readLatent(c: Config): Latent {
  const heads = c.count('num_attention_heads')
  const keys = c.json.num_key_value_heads === null ? heads : c.count('num_key_value_heads')
  if (keys !== heads) c.fail('num_key_value_heads', `is ${keys}, but every one of ${heads} heads has keys of its own out of the latent`)
  const size: Latent = {
    heads,
    queryRank: c.json.q_lora_rank === null ? null : c.count('q_lora_rank'),
    rank: c.count('kv_lora_rank'),
    own: c.count('qk_nope_head_dim'),
    rotated: c.count('qk_rope_head_dim'),
    valueDim: c.count('v_head_dim'),
  }
  // written by transformers; what its rotation goes by where a file says otherwise
  c.only('head_dim', size.rotated)
  c.only('qk_head_dim', size.own + size.rotated)
  return size
}

export const deepseekV3: Family = {
  modelType: 'deepseek_v3',
  architecture: 'DeepseekV3ForCausalLM',
  open(json) {
    const c = new Config(json, 'deepseek_v3', DEFAULTS)
    c.only('hidden_act', 'silu', 'swish')
    const latent = readLatent(c)
    const rope = { ...readRope(c, latent.rotated), interleaved: c.flag('rope_interleave', true) }
    const scale = scaleOfScaled(c, (latent.own + latent.rotated) ** -0.5)
    const bias = c.flag('attention_bias', false)
    refuseMixture(c)
    const last = readNorm(c)
    const block = preNorm({
      norm: last,
      attention: (t, x) => latentAttention(t, x, latent, { rope, scale, bias }),
      mlp: gatedMlp(c, swiglu),
    })
    const queries = latent.queryRank === null ? ['q_proj'] : ['q_a_proj', 'q_b_proj']
    const linears = [...queries, 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj']
    return decoder(c, { norm: last, block, ...expertTargets(NAMES), linears })
  },
}

/** Layers from first_k_dense_replace on have experts; layers behind the last predict further tokens and are no part of the model. */
function refuseMixture(c: Config): void {
  for (const key of MIXTURE) c.has(key)
  for (const key of ['num_nextn_predict_layers', 'num_mtp_layers']) c.count(key, 1, 0)
  const [layers, dense] = [c.count('num_hidden_layers'), c.count('first_k_dense_replace', undefined, 0)]
  if (dense < layers)
    c.fail(
      'first_k_dense_replace',
      `is ${dense}: the ${layers - dense} layers from there on are mixtures of experts, which saqr doesn't train yet`,
    )
}

interface LatentOptions {
  rope: RopeTable
  /** multiplies q·k */
  scale: number
  /** of q_a_proj, kv_a_proj_with_mqa and o_proj */
  bias: boolean
}

/** x (T, C) -> (T, C) */
function latentAttention(t: Trace, x: Tensor, size: Latent, { rope, scale, bias }: LatentOptions): Tensor {
  const { heads, rank, own, rotated, valueDim } = size
  const headDim = own + rotated
  const q = rotate(t, queriesOf(t, x, size, bias), headDim, rope, own) // (T, H · D)
  const both = t.linear('self_attn.kv_a_proj_with_mqa', x, { in: x.cols, out: rank + rotated, bias })
  const latent = norm(t, 'self_attn.kv_a_layernorm', t.columns(both, 0, rank), LATENT_NORM)
  const shared = rotate(t, t.columns(both, rank, rotated), rotated, rope)
  const kv = t.linear('self_attn.kv_b_proj', latent, { in: rank, out: heads * (own + valueDim), bias: false })
  const { k, v } = expandKv(t, kv, shared, { own, valueDim }, 'self_attn.expand_kv')
  return attended(t, { q, k, v }, { heads, kvHeads: heads, headDim, valueDim }, { scale, bias: { qkv: bias, o: bias }, channels: x.cols })
}

/** x (T, C) -> (T, H · D), by a latent of its own where there is one */
function queriesOf(t: Trace, x: Tensor, { heads, queryRank, own, rotated }: Latent, bias: boolean): Tensor {
  const out = heads * (own + rotated)
  if (queryRank === null) return t.linear('self_attn.q_proj', x, { in: x.cols, out, bias: false })
  const latent = t.linear('self_attn.q_a_proj', x, { in: x.cols, out: queryRank, bias })
  return t.linear('self_attn.q_b_proj', norm(t, 'self_attn.q_a_layernorm', latent, LATENT_NORM), { in: queryRank, out, bias: false })
}
