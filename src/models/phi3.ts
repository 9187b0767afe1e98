/**
 * Phi 3, 3.5, 4 and 4-mini (Abdin et al. 2024): Llama's block with q, k and v in one linear, gate and up in another; the first part of a head
 * rotates; contexts beyond the first training's by LongRoPE.
 */
import type { GgufModel } from '../formats/gguf/model.ts'
import { f32, u32 } from '../formats/gguf/write.ts'
import type { JsonObject } from '../formats/json.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import type { Family } from './family.ts'
import { describeDecoder, type FamilyGguf, thetaOf, withKeys } from './gguf-describe.ts'
import { readNorm } from './norm.ts'
import { longRope, plainRope, type RopeTable, type RopeType, readRope, scalingOf } from './rope.ts'
import { attended, type Heads, readHeads, rotate } from './self-attention.ts'
import type { Trace } from './trace.ts'
import { windowOf } from './windows.ts'

export const DEFAULTS = {
  max_position_embeddings: 4096,
  original_max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  pad_token_id: 32_000,
}

const [SHORT, LONG] = ['rope_factors_short.weight', 'rope_factors_long.weight'] as const

const gguf: FamilyGguf = {
  architecture: 'phi3',
  parts: {
    attn_norm: 'input_layernorm',
    attn_qkv: 'self_attn.qkv_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_up: 'mlp.gate_up_proj',
    ffn_down: 'mlp.down_proj',
  },
  partialRotation: true,
  factors: [SHORT, LONG],
  tokenizerLacks: 'which special tokens swallow white space beside them, as the original does',
  describe(c) {
    const { headDim } = readHeads(c)
    const rope = rotation(c, headDim)
    const window = c.json.sliding_window == null ? 0 : windowOf(c)
    const { short_factor: short, long_factor: long } = scalingOf(c)
    const described = withKeys(
      describeDecoder(new Config({ ...c.json, rope_parameters: null, rope_scaling: null, rope_theta: thetaOf(c) }, 'phi3', DEFAULTS)),
      {
        'rope.dimension_count': u32(2 * rope.invFreq.length),
        'rope.scaling.original_context_length': u32(c.count('original_max_position_embeddings')),
        ...(rope.long ? { 'rope.scaling.attn_factor': f32(rope.attentionFactor) } : {}),
        ...(window > 0 ? { 'attention.sliding_window': u32(window) } : {}),
      },
    )
    return rope.long ? { ...described, factors: { [SHORT]: short as number[], [LONG]: long as number[] } } : described
  },
  config(model) {
    if (['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'].some((part) => model.has(`blk.0.${part}.bias`)))
      throw model.unsupported('has biases, which phi3 models have none of')
    const rotated = model.count('rope.dimension_count', model.headDim)
    return {
      hidden_act: 'silu',
      pad_token_id: null,
      ...model.common,
      original_max_position_embeddings: model.count('rope.scaling.original_context_length', model.count('context_length')),
      ...(rotated === model.headDim ? {} : { partial_rotary_factor: rotated / model.headDim }),
      sliding_window: model.window || null,
      ...longScaling(model),
    }
  },
}

function longScaling(model: GgufModel): JsonObject {
  const { [SHORT]: short, [LONG]: long } = model.factors
  if (!short && !long) return {}
  if (!short || !long) throw model.unsupported(`has ${short ? SHORT : LONG} alone of the two lists of LongRoPE`)
  const attention = model.number('rope.scaling.attn_factor', 1) // as llama.cpp has it where no key says it
  return { rope_scaling: { type: 'longrope', attention_factor: attention, short_factor: [...short], long_factor: [...long] } }
}

export const phi3: Family = {
  modelType: 'phi3',
  architecture: 'Phi3ForCausalLM',
  gguf,
  open(json) {
    const c = new Config(json, 'phi3', DEFAULTS)
    c.only('hidden_act', 'silu', 'swish')
    c.only('resid_pdrop', 0)
    c.number('embd_pdrop', 0) // no forward reads it
    c.notNull('head_dim')
    if (json.layer_types != null) c.fail('layer_types', 'is nothing Phi 3 has: every layer has the same window')
    c.count('original_max_position_embeddings', undefined, 2)
    const heads = readHeads(c)
    const rope = rotation(c, heads.headDim)
    // its class counts the factors by these, its forward by head_dim
    if (rope.long && heads.headDim !== Math.floor(c.count('hidden_size') / heads.heads))
      c.fail('head_dim', `is ${heads.headDim}: with LongRoPE heads have hidden_size / num_attention_heads channels`)
    const window = json.sliding_window == null ? 0 : windowOf(c)
    const norm = readNorm(c)
    const block = preNorm({ norm, mlp: fusedMlp(c), attention: (t, x) => fusedAttention(t, x, heads, rope, window) })
    const linears = ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj']
    return decoder(c, { norm, block, linears, within: FUSED, longBeyond: rope.long?.beyond })
  },
}

/** as its configuration class has it: `su` and `yarn` are older names of longrope */
export function rotation(c: Config, headDim: number): RopeTable {
  const su: RopeType = (given) => {
    given.number('original_max_position_embeddings') // asked of this name alone, though the one beside counts
    return longRope(given)
  }
  return readRope(c, headDim, { types: { default: plainRope, longrope: longRope, su, yarn: longRope }, partial: true })
}

const FUSED = { q_proj: 'qkv_proj', k_proj: 'qkv_proj', v_proj: 'qkv_proj', gate_proj: 'gate_up_proj', up_proj: 'gate_up_proj' }

/** x (T, C) -> (T, C); q, k and v are columns of one product (T, (H + 2G) · D) */
function fusedAttention(t: Trace, x: Tensor, size: Heads, rope: RopeTable, window: number): Tensor {
  const [q, kv] = [size.heads * size.headDim, size.kvHeads * size.headDim]
  const qkv = t.linear('self_attn.qkv_proj', x, { in: x.cols, out: q + 2 * kv, bias: false })
  const placed = (from: number, cols: number) => rotate(t, t.columns(qkv, from, cols), size.headDim, rope)
  const parts = { q: placed(0, q), k: placed(q, kv), v: t.columns(qkv, q + kv, kv) }
  return attended(t, parts, size, { window, channels: x.cols })
}

/** x (T, C) -> (T, C); gate and up are the halves of one product (T, 2F) */
function fusedMlp(c: Config): (t: Trace, x: Tensor) => Tensor {
  const [channels, hidden] = [c.count('hidden_size'), c.count('intermediate_size')]
  return (t, x) => {
    const both = t.linear('mlp.gate_up_proj', x, { in: channels, out: 2 * hidden, bias: false })
    const act = swiglu(t, t.columns(both, 0, hidden), t.columns(both, hidden, hidden), 'mlp.act') // (T, F)
    return t.linear('mlp.down_proj', act, { in: hidden, out: channels, bias: false })
  }
}
