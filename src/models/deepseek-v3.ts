/**
 * DeepSeek V3, V3.1, R1 and Moonlight (DeepSeek-AI 2024): keys and values come out of one latent of a token, queries too or of x itself; a part of
 * each head, whose key all heads share, is rotated (MLA). A few dense layers, then mixtures of experts, whose router has a buffer that only chooses.
 */
import { expandKv } from '../ops/expand-kv/op.ts'
import type { RouteOptions } from '../ops/route/op.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { Config } from './config.ts'
import { type Block, type DecoderParts, decoder, preNorm } from './decoder.ts'
import { evenness, expertPieces, expertTargets, halved, readRouting, sparseMlp } from './experts.ts'
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
  moe_intermediate_size: 2048,
  n_shared_experts: 1,
  n_routed_experts: 256,
  num_experts_per_tok: 8,
  n_group: 8,
  topk_group: 4,
  max_position_embeddings: 4096,
}

/** of the latents, whatever rms_norm_eps says */
const LATENT_NORM = { eps: 1e-6 }

/** experts whose scores make their group's */
const BEST = 2

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
    const last = readNorm(c)
    const { mlp, ...mixture } = readMlps(c)
    const attention = (t: Trace, x: Tensor) => latentAttention(t, x, latent, { rope, scale, bias })
    const block: Block = (t, x, layer) => preNorm({ norm: last, attention, mlp: mlp(layer) })(t, x, layer)
    const queries = latent.queryRank === null ? ['q_proj'] : ['q_a_proj', 'q_b_proj']
    // names of an MLP's linears mean experts', and nothing where there are none
    const experts = mixture.pieces ? Object.values(NAMES) : []
    const linears = [...queries, 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj', ...experts]
    return decoder(c, { norm: last, block, ...expertTargets(NAMES), ...mixture, linears })
  },
}

/**
 * x (T, C) -> (T, C) of each layer: those from first_k_dense_replace on have experts, and a dense MLP beside them that every token goes through.
 * Layers behind the last predict further tokens and are no part of the model.
 */
function readMlps(c: Config): Pick<DecoderParts, 'pieces' | 'term' | 'after'> & { mlp(layer: number): (t: Trace, x: Tensor) => Tensor } {
  for (const key of ['num_nextn_predict_layers', 'num_mtp_layers']) c.count(key, 1, 0)
  const first = c.count('first_k_dense_replace', undefined, 0)
  const dense = gatedMlp(c, swiglu)
  const { k, experts, routing } = readRouter(c)
  if (first >= c.count('num_hidden_layers')) return { mlp: () => dense }
  const hidden = c.count('moe_intermediate_size')
  const exact = { bias: 'e_score_correction_bias' }
  const routed = sparseMlp({
    experts,
    channels: c.count('hidden_size'),
    hidden,
    activation: halved(swiglu),
    routing,
    rounded: false,
    exact,
  })
  const shared = gatedMlp(c, swiglu, false, { path: 'mlp.shared_experts', hidden: hidden * c.count('n_shared_experts') })
  const mixture = (t: Trace, x: Tensor) => t.add(routed(t, x), shared(t, x))
  return { ...evenness(k), pieces: expertPieces(experts, NAMES), mlp: (layer) => (layer < first ? dense : mixture) }
}

/** Sigmoid scores; experts of the best groups, a group as good as its two best; weights of sum 1 where norm_topk_prob, times a factor. */
function readRouter(c: Config): { k: number; experts: number; routing: RouteOptions } {
  const { k, experts } = readRouting(c, 'n_routed_experts')
  const [groups, keptGroups] = [c.count('n_group'), c.count('topk_group')]
  const size = experts / groups
  if (!Number.isInteger(size) || size < BEST)
    c.fail('n_group', `is ${groups}: ${experts} experts don't make as many groups of ${BEST} or more`)
  if (keptGroups > groups) c.fail('topk_group', `is ${keptGroups}, of ${groups} groups`)
  if (k > keptGroups * size) c.fail('num_experts_per_tok', `is ${k}, of the ${keptGroups * size} experts that ${keptGroups} groups have`)
  const renormalise = c.flag('norm_topk_prob', true)
  const scale = c.above(0, 'routed_scaling_factor', 2.5)
  return { k, experts, routing: { k, sigmoid: true, groups, keptGroups, groupBest: BEST, renormalise, scale, epsilon: 1e-20 } }
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
