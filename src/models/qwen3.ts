/** Qwen 3 (Yang et al. 2025): Llama's block with every query and key head normalised before rotation. */
import { LLAMA_PARTS } from '../formats/gguf/layout.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import type { Family } from './family.ts'
import { describeDecoder } from './gguf-describe.ts'
import { gatedMlp } from './mlp.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { windowsFromLayer } from './windows.ts'

export const qwen3: Family = {
  modelType: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  gguf: {
    architecture: 'qwen3',
    holds: ({ window }) => window === 0,
    parts: LLAMA_PARTS,
    describe: (c) => describeDecoder(c, { headDim: 128 }),
    config(model) {
      const { qkv, o, mlp } = model.biases
      if (qkv !== o || mlp) throw model.unsupported('has other biases than qwen3 models have')
      return { hidden_act: 'silu', ...model.common, attention_bias: o }
    },
  },
  open(json) {
    const c = new Config(json, 'qwen3', { num_key_value_heads: 32, max_position_embeddings: 32_768 })
    c.only('hidden_act', 'silu', 'swish')
    const heads = readHeads(c, 128)
    const windows = windowsFromLayer(c)
    const bias = c.flag('attention_bias', false)
    const norm = readNorm(c)
    const options = { rope: readRope(c, heads.headDim), bias: { qkv: bias, o: bias }, qkNorm: norm }
    const block = preNorm({
      norm,
      mlp: gatedMlp(c, swiglu),
      attention: (t, x, layer) => selfAttention(t, x, heads, { ...options, window: windows[layer] }),
    })
    return decoder(c, { norm, block })
  },
}
