/** Qwen 3's mixtures (Yang et al. 2025): Qwen 3's attention, and in all or some of the layers an MLP of experts. */
import { ATTENTION_PARTS } from '../formats/gguf/layout.ts'
import { u32 } from '../formats/gguf/write.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import { balance, expertPieces, expertTargets, halved, readRouting, sparseMlp } from './experts.ts'
import type { Family } from './family.ts'
import { describeDecoder, withKeys } from './gguf-describe.ts'
import { gatedMlp } from './mlp.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { optionalWindow } from './windows.ts'

const NAMES = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }

export const qwen3Moe: Family = {
  modelType: 'qwen3_moe',
  architecture: 'Qwen3MoeForCausalLM',
  gguf: {
    architecture: 'qwen3moe',
    experts: true,
    holds: ({ window }) => window === 0,
    keys: ['expert_feed_forward_length'],
    parts: {
      ...ATTENTION_PARTS,
      ffn_gate_inp: 'mlp.gate',
      ffn_gate_exps: 'mlp.experts.*.gate_proj',
      ffn_up_exps: 'mlp.experts.*.up_proj',
      ffn_down_exps: 'mlp.experts.*.down_proj',
    },
    describe(c) {
      const { k, experts } = readRouting(c, expertsKey(c))
      return withKeys(describeDecoder(c), {
        expert_count: u32(experts),
        expert_used_count: u32(k),
        expert_feed_forward_length: u32(c.count('moe_intermediate_size')),
      })
    },
    config(model) {
      const { qkv, o } = model.biases
      if (qkv !== o) throw model.unsupported('has other biases than qwen3moe models have')
      return {
        hidden_act: 'silu',
        ...model.common,
        attention_bias: o,
        num_experts: model.count('expert_count'),
        num_experts_per_tok: model.count('expert_used_count'),
        moe_intermediate_size: model.count('expert_feed_forward_length'),
        // no key says so: llama.cpp does it for every model of this architecture
        norm_topk_prob: true,
      }
    },
  },
  open(json) {
    const c = new Config(json, 'qwen3_moe', {
      num_key_value_heads: 4,
      max_position_embeddings: 32_768,
      num_experts_per_tok: 8,
      num_experts: 128,
      moe_intermediate_size: 768,
    })
    c.only('hidden_act', 'silu', 'swish')
    const heads = readHeads(c)
    const window = optionalWindow(c, 4096)
    const bias = c.flag('attention_bias', false)
    const norm = readNorm(c)
    const attention = { rope: readRope(c, heads.headDim), bias: { qkv: bias, o: bias }, qkNorm: norm, window }
    const { k, experts } = readRouting(c, expertsKey(c))
    const sparse = sparseMlp({
      experts,
      channels: c.count('hidden_size'),
      hidden: c.count('moe_intermediate_size'),
      activation: halved(swiglu),
      routing: { k, renormalise: c.flag('norm_topk_prob', false) },
      rounded: true,
    })
    const dense = gatedMlp(c, swiglu)
    const isSparse = sparseLayers(c)
    return decoder(c, {
      ...balance(c, k),
      norm,
      ...expertTargets(NAMES),
      block: (t, x, layer) =>
        preNorm({
          norm,
          mlp: isSparse(layer) ? sparse : dense,
          attention: (t, x) => selfAttention(t, x, heads, attention),
        })(t, x, layer),
      pieces: expertPieces(experts, NAMES),
    })
  },
}

/** transformers reads num_experts and writes num_local_experts */
function expertsKey(c: Config): string {
  const { num_experts: one, num_local_experts: other } = c.json
  if (one !== undefined && other !== undefined && one !== other)
    c.fail('num_local_experts', `is ${other}, but num_experts ${one}: leave one out`)
  return other === undefined ? 'num_experts' : 'num_local_experts'
}

/** every decoder_sparse_step-th layer but those of mlp_only_layers */
function sparseLayers(c: Config): (layer: number) => boolean {
  const step = c.count('decoder_sparse_step', 1)
  const { mlp_only_layers: dense } = c.json
  if (dense !== undefined && dense !== null && !(Array.isArray(dense) && dense.every((layer) => Number.isSafeInteger(layer))))
    c.fail('mlp_only_layers', 'must be a list of layers')
  return (layer) => !(dense as number[] | null | undefined)?.includes(layer) && (layer + 1) % step === 0
}
