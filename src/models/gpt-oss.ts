/**
 * gpt-oss (OpenAI 2025): attention with sinks and biases, a window on every other layer, YaRN; in every layer experts with biases, whose
 * matrices lie (in, out), gate and up by turns, clamped.
 */
import { ATTENTION_PARTS } from '../formats/gguf/layout.ts'
import { u32 } from '../formats/gguf/write.ts'
import type { JsonObject } from '../formats/json.ts'
import { clampedSwiglu } from '../ops/clamped-swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import { balance, readRouting, sparseMlp } from './experts.ts'
import type { Family } from './family.ts'
import { describeDecoder, withKeys } from './gguf-describe.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { ATTENTION_LINEARS, readHeads, selfAttention } from './self-attention.ts'
import { layerWindows, windowOf } from './windows.ts'

const DEFAULTS = {
  num_hidden_layers: 36,
  num_local_experts: 128,
  vocab_size: 201_088,
  hidden_size: 2880,
  intermediate_size: 2880,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  sliding_window: 128,
  max_position_embeddings: 131_072,
  rms_norm_eps: 1e-5,
  num_experts_per_tok: 4,
}

const YARN = { rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false, original_max_position_embeddings: 4096 }

/** YaRN also where the file says nothing */
export const readRotation = (c: Config, headDim: number) => readRope(c, headDim, { theta: 150_000, otherwise: YARN })

const { ffn_norm: _, ...ATTENTION } = ATTENTION_PARTS

export const gptOss: Family = {
  modelType: 'gpt_oss',
  architecture: 'GptOssForCausalLM',
  gguf: {
    architecture: 'gpt-oss',
    experts: true,
    keys: ['expert_feed_forward_length'],
    parts: {
      ...ATTENTION,
      post_attention_norm: 'post_attention_layernorm',
      ffn_gate_inp: 'mlp.router',
      'attn_sinks.weight': 'self_attn.sinks',
    },
    turned: { 'mlp.experts.gate_up_proj': ['ffn_gate_exps', 'ffn_up_exps'], 'mlp.experts.down_proj': ['ffn_down_exps'] },
    describe(c) {
      const { k, experts } = readRouting(c, 'num_local_experts')
      return withKeys(describeDecoder(c, { headDim: 64, theta: 150_000, otherwise: YARN }), {
        'attention.sliding_window': u32(windowOf(c)),
        expert_feed_forward_length: u32(c.count('intermediate_size')),
        expert_count: u32(experts),
        expert_used_count: u32(k),
      })
    },
    config(model) {
      const { qkv, o } = model.biases
      if (qkv !== o) throw model.unsupported('has other biases than gpt-oss models have')
      const { rope_scaling: scaling, ...common } = model.common
      return {
        hidden_act: 'silu',
        ...common,
        intermediate_size: model.count('expert_feed_forward_length', model.count('feed_forward_length')),
        attention_bias: o,
        sliding_window: model.count('attention.sliding_window', DEFAULTS.sliding_window),
        num_local_experts: model.count('expert_count'),
        num_experts_per_tok: model.count('expert_used_count'),
        // no key says so: the published models' bounds are not rounded
        rope_scaling: scaling ? { ...(scaling as JsonObject), truncate: false } : { rope_type: 'default' },
      }
    },
  },
  open(json) {
    const c = new Config(json, 'gpt_oss', DEFAULTS)
    c.only('hidden_act', 'silu', 'swish')
    const heads = readHeads(c, 64)
    const bias = c.flag('attention_bias', true)
    const rope = readRotation(c, heads.headDim)
    if (json.sliding_window === null) c.fail('sliding_window', 'is null, but every other layer has a window')
    const windows = layerWindows(c, windowOf(c), (layer) => layer % 2 === 0)
    const norm = readNorm(c)
    const { k, experts } = readRouting(c, 'num_local_experts')
    const clamp = { alpha: c.number('swiglu_alpha', 1.702), limit: c.above(0, 'swiglu_limit', 7) }
    const mlp = sparseMlp({
      experts,
      channels: c.count('hidden_size'),
      hidden: c.count('intermediate_size'),
      activation: (t, both) => clampedSwiglu(t, both, clamp, 'mlp.act'),
      // a softmax over the chosen is one over all, renormalised
      routing: { k, renormalise: true },
      router: { path: 'mlp.router', bias: true },
      biased: true,
      rounded: true,
    })
    const options = { rope, bias: { qkv: bias, o: bias }, sinks: true }
    return decoder(c, {
      ...balance(c, k),
      norm,
      linears: ATTENTION_LINEARS,
      apart: (name) => apart(name, experts),
      block: (t, x, layer) =>
        preNorm({ norm, mlp, attention: (t, x) => selfAttention(t, x, heads, { ...options, window: windows[layer] }) })(t, x, layer),
    })
  },
}

/** bitsandbytes quantises linears alone, so 4-bit files (Unsloth's) have each expert's as linears; the router is one too. */
function apart(name: string, experts: number): string[] {
  const [, block, tensor, bias] = /^(.*\.mlp\.)experts\.(gate_up_proj|down_proj)(_bias)?$/.exec(name) ?? []
  if (block !== undefined) return Array.from({ length: experts }, (_, e) => `${block}experts.${tensor}s.${e}.${bias ? 'bias' : 'weight'}`)
  return /\.mlp\.router\.(weight|bias)$/.test(name) ? [name.replace('.router.', '.router.linear.')] : []
}
