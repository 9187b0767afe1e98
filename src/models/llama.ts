/** Llama (Touvron et al. 2023; 2, 3.x) and what is built like it (SmolLM2). */
import { Config } from './config.ts'
import { decoder, evenHeadDim } from './decoder.ts'
import type { Family } from './family.ts'

export const llama: Family = {
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
  open(json) {
    const c = new Config(json, 'llama')
    c.only('pretraining_tp', 1)
    const bias = c.flag('attention_bias', false)
    return decoder(c, {
      bias: { qkv: bias, o: bias, mlp: c.flag('mlp_bias', false) },
      headDim: json.head_dim == null ? evenHeadDim(c) : c.count('head_dim'),
      window: () => 0,
      qkNorm: false,
    })
  },
}
