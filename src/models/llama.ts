/** Llama (Touvron et al. 2023; 2, 3.x) and what is built like it (SmolLM2). */
import { Config } from './config.ts'
import { decoder, evenHeadDim } from './decoder.ts'
import type { Family } from './family.ts'

export const llama: Family = {
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
  open(json) {
    const c = new Config(json, 'llama')
    // transformers' llama has no window but its KV cache takes one from the config: answers would differ from what was trained
    if (json.sliding_window != null && c.count('sliding_window') < c.count('max_position_embeddings', 2048))
      c.fail('sliding_window', `is ${json.sliding_window}, which llama's attention doesn't have: is it a mistral model?`)
    const bias = c.flag('attention_bias', false)
    return decoder(c, {
      bias: { qkv: bias, o: bias, mlp: c.flag('mlp_bias', false) },
      headDim: json.head_dim == null ? evenHeadDim(c) : c.count('head_dim'),
      window: () => 0,
      qkNorm: false,
    })
  },
}
