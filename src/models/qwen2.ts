/** Qwen 2 and 2.5 (Yang et al. 2024): Llama's block with biases on q, k and v; upper layers may have a sliding window. */
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

export const qwen2: Family = {
  modelType: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  gguf: {
    architecture: 'qwen2',
    holds: ({ window }) => window === 0,
    parts: LLAMA_PARTS,
    describe: (c) => describeDecoder(c),
    config(model) {
      const { qkv, o, mlp } = model.biases
      if (!qkv || o || mlp) throw model.unsupported('has other biases than qwen2 models have')
      return { hidden_act: 'silu', ...model.common }
    },
  },
  open(json) {
    const c = new Config(json, 'qwen2', { num_key_value_heads: 32, max_position_embeddings: 32_768 })
    c.only('hidden_act', 'silu', 'swish')
    c.notNull('head_dim')
    const heads = readHeads(c)
    const windows = windowsFromLayer(c)
    const options = { rope: readRope(c, heads.headDim), bias: { qkv: true, o: false } }
    const norm = readNorm(c)
    const block = preNorm({
      norm,
      mlp: gatedMlp(c, swiglu),
      attention: (t, x, layer) => selfAttention(t, x, heads, { ...options, window: windows[layer] }),
    })
    return decoder(c, { norm, block })
  },
}
