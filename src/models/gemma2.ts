/**
 * Gemma 2 (Gemma Team 2024): norms with 1 + w before and after attention and MLP, GeGLU, every other layer over a window, soft caps on scores
 * and logits, embeddings times √C.
 */
import { LLAMA_PARTS } from '../formats/gguf/layout.ts'
import type { GgufModel } from '../formats/gguf/model.ts'
import { f32, u32 } from '../formats/gguf/write.ts'
import { Float } from '../formats/json.ts'
import { geglu } from '../ops/geglu/op.ts'
import { Config } from './config.ts'
import { decoder } from './decoder.ts'
import type { Family } from './family.ts'
import { capOf, capped, gemmaBlock, timesRoot } from './gemma.ts'
import { describeDecoder, type FamilyGguf, withKeys } from './gguf-describe.ts'
import { gatedMlp } from './mlp.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { layerWindows, windowOf } from './windows.ts'

const gguf: FamilyGguf = {
  architecture: 'gemma2',
  parts: {
    ...LLAMA_PARTS,
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
  normsPlusOne: true,
  keys: ['attn_logit_softcapping', 'final_logit_softcapping', 'attention.scale'],
  describe(c) {
    // caps of 0 are none
    return withKeys(describeDecoder(c, { headDim: 256 }), {
      'attention.sliding_window': u32(windowOf(c, 4096)),
      attn_logit_softcapping: f32(capOf(c, 'attn_logit_softcapping', 50)),
      final_logit_softcapping: f32(capOf(c, 'final_logit_softcapping', 30)),
      // llama.cpp goes by the number of layers, which is right for the published models
      'attention.scale': f32(c.number('query_pre_attn_scalar', 256) ** -0.5),
    })
  },
  config(model) {
    const { qkv, o, mlp } = model.biases
    if (qkv !== o || mlp) throw model.unsupported('has other biases than gemma2 models have')
    const cap = (name: string, fallback: number) => {
      const value = model.number(name, fallback)
      return value === 0 ? null : new Float(value)
    }
    return {
      hidden_activation: 'gelu_pytorch_tanh',
      ...model.common,
      attention_bias: o,
      sliding_window: model.count('attention.sliding_window', 4096),
      attn_logit_softcapping: cap('attn_logit_softcapping', 50),
      final_logit_softcapping: cap('final_logit_softcapping', 30),
      query_pre_attn_scalar: queryScalar(model),
    }
  },
}

/** No key says it in most files: llama.cpp goes by the number of layers, of which the 27B has 46. */
function queryScalar(model: GgufModel): number {
  const scale = model.number('attention.scale', 0)
  if (scale > 0) {
    const scalar = Math.round(scale ** -2) // config.json holds an integer
    if (Math.fround(scalar ** -0.5) !== Math.fround(scale)) throw model.unsupported(`scales scores by ${scale}, no 1 / √n`)
    return scalar
  }
  return model.count('block_count') === 46 ? model.count('embedding_length') / model.count('attention.head_count') : model.headDim
}

export const gemma2: Family = {
  modelType: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  gguf,
  open(json) {
    const c = new Config(json, 'gemma2', {
      num_key_value_heads: 4,
      head_dim: 256,
      max_position_embeddings: 8192,
      sliding_window: 4096,
      pad_token_id: 0,
    })
    c.only('hidden_activation', 'gelu_pytorch_tanh')
    c.notNull('num_key_value_heads')
    c.only('use_bidirectional_attention', null, false)
    const heads = readHeads(c, 256)
    const windows = layerWindows(c, windowOf(c), (layer) => layer % 2 === 0)
    if (json.sliding_window === null && json.layer_types == null) c.fail('sliding_window', 'is null, but every other layer has a window')
    const bias = c.flag('attention_bias', false)
    const options = {
      rope: readRope(c, heads.headDim),
      bias: { qkv: bias, o: bias },
      scale: c.count('query_pre_attn_scalar', 256) ** -0.5,
      softCap: capOf(c, 'attn_logit_softcapping', 50),
    }
    const options1w = { ...readNorm(c), plusOne: true }
    return decoder(c, {
      norm: options1w,
      tied: true,
      embedded: timesRoot,
      block: gemmaBlock({
        norm: options1w,
        mlp: gatedMlp(c, geglu),
        attention: (t, x, layer) => selfAttention(t, x, heads, { ...options, window: windows[layer] }),
      }),
      capped: capped(capOf(c, 'final_logit_softcapping', 30)),
    })
  },
}
