/**
 * What DeepSeek's generations share (DeepSeek-AI 2024): keys and values come out of one latent of a token, queries too or of x itself; a part of
 * each head, whose key all heads share, is rotated (MLA). A few dense layers, then mixtures of experts beside an MLP that every token goes through.
 */
import { expandKv } from '../ops/expand-kv/op.ts'
import type { RouteOptions } from '../ops/route/op.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import { type Block, type DecoderParts, decoder, preNorm } from './decoder.ts'
import { type Experts, evenness, expertPieces, expertTargets, halved, sparseMlp } from './experts.ts'
import type { Model } from './family.ts'
import { gatedMlp } from './mlp.ts'
import { norm, readNorm } from './norm.ts'
import { type RopeTable, readRope, scaleOfScaled } from './rope.ts'
import { attended, rotate } from './self-attention.ts'
import type { Trace } from './trace.ts'

/** what files call an expert's linears */
const NAMES = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }

/** of the latents, whatever rms_norm_eps says */
const LATENT_NORM = { eps: 1e-6 }

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
  const keys = c.has('num_key_value_heads') && c.json.num_key_value_heads !== null ? c.count('num_key_value_heads') : heads
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

export interface DeepseekParts {
  /** pairs of the rotation are neighbours, not a half apart */
  interleaved: boolean
  router: { k: number; experts: number; routing: RouteOptions; exact: Experts['exact'] }
  /** of dense and shared MLPs */
  mlpBias: boolean
  /** see `Model` */
  saved?: Model['saved']
}

export function deepseek(c: Config, { interleaved, router, mlpBias, saved }: DeepseekParts): Model {
  const latent = readLatent(c)
  const rope = { ...readRope(c, latent.rotated), interleaved }
  const scale = scaleOfScaled(c, (latent.own + latent.rotated) ** -0.5)
  const bias = c.flag('attention_bias', false)
  const last = readNorm(c)
  const { mlp, ...mixture } = readMlps(c, router, mlpBias)
  const attention = (t: Trace, x: Tensor) => latentAttention(t, x, latent, { rope, scale, bias })
  const block: Block = (t, x, layer) => preNorm({ norm: last, attention, mlp: mlp(layer) })(t, x, layer)
  const queries = latent.queryRank === null ? ['q_proj'] : ['q_a_proj', 'q_b_proj']
  // names of an MLP's linears mean experts', and nothing where there are none
  const experts = mixture.pieces ? Object.values(NAMES) : []
  const linears = [...queries, 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj', ...experts]
  return decoder(c, { norm: last, block, ...expertTargets(NAMES), ...mixture, linears, ...(saved ? { saved } : {}) })
}

/** x (T, C) -> (T, C) of each layer: those from first_k_dense_replace on have experts, and a dense MLP beside them that every token goes through. */
function readMlps(
  c: Config,
  { k, experts, routing, exact }: DeepseekParts['router'],
  bias: boolean,
): Pick<DecoderParts, 'pieces' | 'term' | 'after'> & { mlp(layer: number): (t: Trace, x: Tensor) => Tensor } {
  // there is no loss that it could ask for
  c.means('output_router_logits', c.flag('output_router_logits', false), ['output_router_logits'])
  const first = c.count('first_k_dense_replace', undefined, 0)
  const dense = gatedMlp(c, swiglu, bias)
  if (first >= c.count('num_hidden_layers')) return { mlp: () => dense }
  const hidden = c.count('moe_intermediate_size')
  const routed = sparseMlp({
    experts,
    channels: c.count('hidden_size'),
    hidden,
    activation: halved(swiglu),
    routing,
    rounded: false,
    exact,
  })
  const shared = gatedMlp(c, swiglu, bias, { path: 'mlp.shared_experts', hidden: hidden * c.count('n_shared_experts') })
  const mixture = (t: Trace, x: Tensor) => t.add(routed(t, x), shared(t, x))
  return { ...evenness(k), pieces: expertPieces(experts, NAMES), mlp: (layer) => (layer < first ? dense : mixture) }
}

/** n_group and topk_group: the experts lie in so many equal groups, of which so many are chosen from. `best`: experts whose scores make a group's. */
export function readGroups(c: Config, { k, experts }: { k: number; experts: number }, best: number): Required<Groups> {
  const [groups, keptGroups] = [c.count('n_group'), c.count('topk_group')]
  const size = experts / groups
  if (!Number.isInteger(size) || size < best)
    c.fail('n_group', `is ${groups}: ${experts} experts don't make as many groups of ${best} or more`)
  if (keptGroups > groups) c.fail('topk_group', `is ${keptGroups}, of ${groups} groups`)
  if (k > keptGroups * size) c.fail('num_experts_per_tok', `is ${k}, of the ${keptGroups * size} experts that ${keptGroups} groups have`)
  return { groups, keptGroups, groupBest: best }
}
type Groups = Pick<RouteOptions, 'groups' | 'keptGroups' | 'groupBest'>

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
