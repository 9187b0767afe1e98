/** Llama (Touvron et al. 2023; 2, 3.x; SmolLM2): RMSNorm, rotary grouped-query attention, SwiGLU. */
import { Config } from './config.ts'
import type { Family, Model } from './family.ts'
import { ropeOf } from './rope.ts'
import type { Tensor, Trace } from './trace.ts'

export const llama: Family = {
  modelType: 'llama',
  architecture: 'LlamaForCausalLM',
  open(json): Model {
    const c = new Config(json, 'llama')
    c.only('hidden_act', 'silu')
    c.only('attention_dropout', 0, 0)
    c.only('pretraining_tp', 1)
    const channels = c.count('hidden_size')
    const hidden = c.count('intermediate_size')
    const layers = c.count('num_hidden_layers')
    const vocab = c.count('vocab_size')
    const heads = c.count('num_attention_heads')
    const kvHeads = c.count('num_key_value_heads', heads)
    const headDim = c.count('head_dim', channels / heads)
    if (heads % kvHeads) c.fail('num_key_value_heads', `is ${kvHeads}, which doesn't divide ${heads} heads`)
    const bias = c.flag('attention_bias', false)
    const mlpBias = c.flag('mlp_bias', false)
    const norm = { eps: c.number('rms_norm_eps', 1e-6) }
    const table = ropeOf(c, headDim)
    const shape = { heads, kvHeads, headDim, scale: headDim ** -0.5, window: 0 }
    const q = { in: channels, out: heads * headDim, bias }
    const kv = { in: channels, out: kvHeads * headDim, bias }
    const up = { in: channels, out: hidden, bias: mlpBias }

    const block = (l: Trace, x: Tensor): Tensor => {
      const y = l.rmsNorm('input_layernorm', x, norm) // (T, C)
      const o = l.attention(
        l.rope(l.linear('self_attn.q_proj', y, q), headDim, table),
        l.rope(l.linear('self_attn.k_proj', y, kv), headDim, table),
        l.linear('self_attn.v_proj', y, kv),
        shape,
      ) // (T, H · D)
      const delta = l.linear('self_attn.o_proj', o, { in: q.out, out: channels, bias })
      const { h, y: z } = l.addRmsNorm('post_attention_layernorm', x, delta, norm)
      const act = l.swiglu(l.linear('mlp.gate_proj', z, up), l.linear('mlp.up_proj', z, up)) // (T, F)
      return l.add(h, l.linear('mlp.down_proj', act, { in: hidden, out: channels, bias: mlpBias }))
    }

    return {
      family: 'llama',
      layers,
      channels,
      vocab,
      maxPositions: c.count('max_position_embeddings', 2048),
      head: { path: 'lm_head', vocab, channels, tiedTo: c.flag('tie_word_embeddings', false) ? 'model.embed_tokens' : undefined },
      kv: { channels: kv.out },
      forward(t) {
        const x = t.embed('model.embed_tokens', { vocab, channels })
        return t.rmsNorm('model.norm', t.blocks('model.layers', layers, x, block), norm)
      },
    }
  },
}
