/** Qwen 3 (Yang et al. 2025): Llama's block with every query and key head normalised before rotation. */
import { Config } from './config.ts'
import { decoder, windowByLayer } from './decoder.ts'
import type { Family } from './family.ts'

export const qwen3: Family = {
  modelType: 'qwen3',
  architecture: 'Qwen3ForCausalLM',
  open(json) {
    const c = new Config(json, 'qwen3', { num_key_value_heads: 32, max_position_embeddings: 32_768 })
    const bias = c.flag('attention_bias', false)
    return decoder(c, {
      bias: { qkv: bias, o: bias, mlp: false },
      headDim: c.count('head_dim', 128),
      window: windowByLayer(c),
      qkNorm: true,
    })
  },
}
