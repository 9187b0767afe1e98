/** Mixtral (Jiang et al. 2024): Mistral's attention, and an MLP of experts. */
import { swiglu } from '../ops/swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import { balance, expertPieces, expertTargets, readRouting, sparseMlp } from './experts.ts'
import type { Family } from './family.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { windowOf } from './windows.ts'

const NAMES = { gate: 'w1', up: 'w3', down: 'w2' }

export const mixtral: Family = {
  modelType: 'mixtral',
  architecture: 'MixtralForCausalLM',
  open(json) {
    const c = new Config(json, 'mixtral', {
      num_key_value_heads: 8,
      max_position_embeddings: 131_072,
      rms_norm_eps: 1e-5,
      num_experts_per_tok: 2,
      num_local_experts: 8,
    })
    c.only('hidden_act', 'silu', 'swish')
    c.only('router_jitter_noise', 0)
    const heads = readHeads(c)
    const options = { rope: readRope(c, heads.headDim, { theta: 1e6 }), window: c.has('sliding_window') ? windowOf(c) : 0 }
    const norm = readNorm(c)
    const { k, experts } = readRouting(c, 'num_local_experts')
    const mlp = sparseMlp({
      experts,
      channels: c.count('hidden_size'),
      hidden: c.count('intermediate_size'),
      gate: swiglu,
      routing: { k, renormalise: true },
      rounded: false,
    })
    const pieces = expertPieces(experts, NAMES, 'block_sparse_moe')
    return decoder(c, {
      ...balance(c, k),
      norm,
      ...expertTargets(NAMES),
      block: preNorm({ norm, mlp, attention: (t, x) => selfAttention(t, x, heads, options) }),
      pieces: (name) => (name.endsWith('.mlp.gate.weight') ? [[name.replace('.mlp.', '.block_sparse_moe.')]] : pieces(name)),
    })
  },
}
