/** Qwen 2 and 2.5 (Yang et al. 2024): Llama's block with biases on q, k and v; upper layers may have a sliding window. */
import { Config } from './config.ts'
import { decoder, evenHeadDim, windowByLayer } from './decoder.ts'
import type { Family } from './family.ts'

export const qwen2: Family = {
  modelType: 'qwen2',
  architecture: 'Qwen2ForCausalLM',
  open(json) {
    const c = new Config(json, 'qwen2', { num_key_value_heads: 32, max_position_embeddings: 32_768 })
    return decoder(c, {
      bias: { qkv: true, o: false, mlp: false },
      headDim: json.head_dim == null ? evenHeadDim(c) : c.count('head_dim'),
      window: windowByLayer(c),
      qkNorm: false,
    })
  },
}
