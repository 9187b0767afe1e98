/**
 * The decoder that Llama made standard: pre-norm blocks of rotary grouped-query attention and a SwiGLU MLP. Families that keep this
 * block say in their own file what is theirs; one with another block writes its own forward.
 */

import type { Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { Model } from './family.ts'
import { ropeOf } from './rope.ts'
import type { Trace } from './trace.ts'

export interface Traits {
  /** biases of the projections */
  bias: { qkv: boolean; o: boolean; mlp: boolean }
  headDim: number
  /** tokens that a layer's queries look back over; 0: all */
  window: (layer: number) => number
  /** RMSNorm of every query and key head, before rotation */
  qkNorm: boolean
}

/** C / heads, where a config gives no head_dim */
export function evenHeadDim(c: Config): number {
  const heads = c.count('num_attention_heads')
  if (c.count('hidden_size') % heads) c.fail('hidden_size', `doesn't divide into ${heads} heads, and no head_dim is given`)
  return c.count('hidden_size') / heads
}

/** Qwen's rule: with use_sliding_window, layers from max_window_layers on have a window; `layer_types` says it outright. */
export function windowByLayer(c: Config): (layer: number) => number {
  const { layer_types: types, sliding_window: size } = c.json
  const window = c.flag('use_sliding_window', false) && size !== null ? c.count('sliding_window', 4096) : 0
  const first = c.count('max_window_layers', 28, 0)
  if (types === undefined || types === null) return (layer) => (layer >= first ? window : 0)
  const known: Readonly<Record<string, number>> = { full_attention: 0, attention: 0, sliding_attention: window }
  const layers = c.count('num_hidden_layers')
  if (!Array.isArray(types) || types.length !== layers || !types.every((t) => t in known)) {
    c.fail('layer_types', `must name full_attention or sliding_attention for each of ${layers} layers`)
  }
  if (window === 0 && types.includes('sliding_attention'))
    c.fail('layer_types', 'names sliding_attention, but use_sliding_window and sliding_window give no window')
  return (layer) => known[types[layer] as string]!
}

export function decoder(c: Config, traits: Traits): Model {
  c.only('hidden_act', 'silu', 'swish')
  c.only('attention_dropout', 0)
  const channels = c.count('hidden_size')
  const hidden = c.count('intermediate_size')
  const layers = c.count('num_hidden_layers')
  const vocab = c.count('vocab_size')
  const heads = c.count('num_attention_heads')
  const kvHeads = c.count('num_key_value_heads', heads)
  const { bias, headDim, window, qkNorm } = traits
  if (heads % kvHeads) c.fail('num_key_value_heads', `is ${kvHeads}, which doesn't divide ${heads} heads`)
  const norm = { eps: c.number('rms_norm_eps', 1e-6) }
  const table = ropeOf(c, headDim)
  const q = { in: channels, out: heads * headDim, bias: bias.qkv }
  const kv = { in: channels, out: kvHeads * headDim, bias: bias.qkv }
  const up = { in: channels, out: hidden, bias: bias.mlp }

  const block = (l: Trace, x: Tensor, layer: number): Tensor => {
    const y = l.rmsNorm('input_layernorm', x, norm) // (T, C)
    const rotated = (name: string, shape: typeof q) => {
      const heads = l.linear(`self_attn.${name}_proj`, y, shape)
      return l.rope(qkNorm ? l.rmsNorm(`self_attn.${name}_norm`, heads, { ...norm, group: headDim }) : heads, headDim, table)
    }
    const v = l.linear('self_attn.v_proj', y, kv) // (T, G · D)
    const attention = { heads, kvHeads, headDim, scale: headDim ** -0.5, window: window(layer) }
    const o = l.attention(rotated('q', q), rotated('k', kv), v, attention) // (T, H · D)
    const delta = l.linear('self_attn.o_proj', o, { in: q.out, out: channels, bias: bias.o })
    const { h, y: z } = l.addRmsNorm('post_attention_layernorm', x, delta, norm)
    const act = l.swiglu(l.linear('mlp.gate_proj', z, up), l.linear('mlp.up_proj', z, up)) // (T, F)
    return l.add(h, l.linear('mlp.down_proj', act, { in: hidden, out: channels, bias: bias.mlp }))
  }

  return {
    family: c.modelType,
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
}
