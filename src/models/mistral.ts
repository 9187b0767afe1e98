/** Mistral (Jiang et al. 2023): Llama's block, with a sliding window that every layer attends over. */
import { Config } from './config.ts'
import { decoder, evenHeadDim } from './decoder.ts'
import type { Family } from './family.ts'

export const mistral: Family = {
  modelType: 'mistral',
  architecture: 'MistralForCausalLM',
  open(json) {
    const c = new Config(json, 'mistral', { num_key_value_heads: 8, max_position_embeddings: 131_072 })
    if (json.layer_types != null)
      c.fail('layer_types', 'is nothing Mistral has: this may be a Ministral checkpoint, which saqr does not train')
    const window = json.sliding_window === null ? 0 : c.count('sliding_window', 4096)
    return decoder(c, {
      bias: { qkv: false, o: false, mlp: false },
      headDim: json.head_dim == null ? evenHeadDim(c) : c.count('head_dim'),
      window: () => window,
      qkNorm: false,
    })
  },
}
