/** Llama (Touvron et al. 2023; 2, 3.x) and what is built like it (SmolLM2). */
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
import { layerWindows } from './windows.ts'

export const llama: Family = {
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
  gguf: {
    architecture: 'llama',
    // Mistral is written as llama, with a window
    holds: ({ window }) => window === 0,
    parts: LLAMA_PARTS,
    rotatedRows: ['attn_q', 'attn_k'],
    describe: (c) => describeDecoder(c),
    config(model) {
      const { qkv, o, mlp } = model.biases
      if (qkv !== o) throw model.unsupported('has other biases than llama models have')
      return { hidden_act: 'silu', ...model.common, attention_bias: o, mlp_bias: mlp }
    },
  },
  open(json) {
    const c = new Config(json, 'llama')
    c.only('hidden_act', 'silu', 'swish')
    // transformers' llama has no window but its KV cache takes one from the config: answers would differ from what was trained
    if (json.sliding_window != null && c.count('sliding_window') < c.count('max_position_embeddings', 2048))
      c.fail('sliding_window', `is ${json.sliding_window}, which llama's attention doesn't have: is it a mistral model?`)
    layerWindows(c, json.sliding_window == null ? 0 : c.count('sliding_window'), () => false) // a list of anything else is an error there too
    const heads = readHeads(c)
    const bias = c.flag('attention_bias', false)
    const options = { rope: readRope(c, heads.headDim), bias: { qkv: bias, o: bias } }
    const norm = readNorm(c)
    const mlp = gatedMlp(c, swiglu, c.flag('mlp_bias', false))
    return decoder(c, { norm, block: preNorm({ norm, mlp, attention: (t, x) => selfAttention(t, x, heads, options) }) })
  },
}
