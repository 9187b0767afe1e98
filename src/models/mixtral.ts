/** Mixtral (Jiang et al. 2024): Mistral's attention, and an MLP of experts. */
import { ATTENTION_PARTS } from '../formats/gguf/layout.ts'
import { u32 } from '../formats/gguf/write.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import { balance, expertPieces, expertTargets, halved, readRouting, sparseMlp } from './experts.ts'
import type { Family } from './family.ts'
import { describeDecoder, withKeys } from './gguf-describe.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { windowOf } from './windows.ts'

const NAMES = { gate: 'w1', up: 'w3', down: 'w2' }

export const mixtral: Family = {
  modelType: 'mixtral',
  architecture: 'MixtralForCausalLM',
  gguf: {
    architecture: 'llama',
    experts: true,
    parts: {
      ...ATTENTION_PARTS,
      ffn_gate_inp: 'block_sparse_moe.gate',
      ffn_gate_exps: 'block_sparse_moe.experts.*.w1',
      ffn_up_exps: 'block_sparse_moe.experts.*.w3',
      ffn_down_exps: 'block_sparse_moe.experts.*.w2',
    },
    rotatedRows: ['attn_q', 'attn_k'],
    describe(c) {
      const { k, experts } = readRouting(c, 'num_local_experts')
      const window = c.has('sliding_window') ? windowOf(c) : 0
      return withKeys(describeDecoder(c, { theta: 1e6 }), {
        expert_count: u32(experts),
        expert_used_count: u32(k),
        ...(window > 0 ? { 'attention.sliding_window': u32(window) } : {}),
      })
    },
    config(model) {
      if (Object.values(model.biases).some((b) => b)) throw model.unsupported('has biases, which mixtral models have none of')
      const [experts, k] = [model.count('expert_count'), model.count('expert_used_count')]
      return {
        hidden_act: 'silu',
        ...model.common,
        sliding_window: model.window || null,
        num_local_experts: experts,
        num_experts_per_tok: k,
      }
    },
  },
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
      activation: halved(swiglu),
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
