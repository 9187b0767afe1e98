/** Mistral (Jiang et al. 2023): Llama's block, with a sliding window that every layer attends over. */
import { LLAMA_PARTS } from '../formats/gguf/layout.ts'
import { u32 } from '../formats/gguf/write.ts'
import { swiglu } from '../ops/swiglu/op.ts'
import { Config } from './config.ts'
import { decoder, preNorm } from './decoder.ts'
import type { Family } from './family.ts'
import { describeDecoder, withKeys } from './gguf-describe.ts'
import { gatedMlp } from './mlp.ts'
import { readNorm } from './norm.ts'
import { readRope } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { windowOf } from './windows.ts'

export const mistral: Family = {
  modelType: 'mistral',
  architecture: 'MistralForCausalLM',
  gguf: {
    architecture: 'llama',
    holds: ({ window }) => window > 0,
    parts: LLAMA_PARTS,
    rotatedRows: ['attn_q', 'attn_k'],
    describe(c) {
      const window = windowOf(c, 4096)
      return withKeys(describeDecoder(c), window > 0 ? { 'attention.sliding_window': u32(window) } : {})
    },
    config(model) {
      if (Object.values(model.biases).some((b) => b)) throw model.unsupported('has biases, which mistral models have none of')
      return { hidden_act: 'silu', ...model.common, sliding_window: model.window }
    },
  },
  open(json) {
    const c = new Config(json, 'mistral', { num_key_value_heads: 8, max_position_embeddings: 131_072 })
    c.only('hidden_act', 'silu', 'swish')
    c.notNull('num_key_value_heads')
    if (json.layer_types != null)
      c.fail('layer_types', 'is nothing Mistral has: this may be a Ministral checkpoint, which saqr does not train')
    const heads = readHeads(c)
    const window = windowOf(c, 4096)
    const options = { rope: readRope(c, heads.headDim), window }
    const norm = readNorm(c)
    return decoder(c, {
      norm,
      block: preNorm({ norm, mlp: gatedMlp(c, swiglu), attention: (t, x) => selfAttention(t, x, heads, options) }),
    })
  },
}
