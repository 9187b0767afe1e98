/** SmolLM3 (Hugging Face 2025): Llama's block; every fourth layer knows nothing of positions (NoPE), and may have a window instead. */
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
import { layerWindows, optionalWindow } from './windows.ts'

export const smollm3: Family = {
  modelType: 'smollm3',
  architecture: 'SmolLM3ForCausalLM',
  gguf: {
    architecture: 'smollm3',
    holds: ({ window }) => window === 0,
    parts: LLAMA_PARTS,
    rotatedRows: ['attn_q', 'attn_k'],
    describe: (c) => describeDecoder(c, { theta: 2_000_000 }),
    config(model) {
      const { qkv, o, mlp } = model.biases
      if (qkv !== o) throw model.unsupported('has other biases than smollm3 models have')
      // no key says which layers don't rotate: llama.cpp has every fourth
      return { hidden_act: 'silu', pad_token_id: null, ...model.common, attention_bias: o, mlp_bias: mlp, no_rope_layer_interval: 4 }
    },
  },
  open(json) {
    const c = new Config(json, 'smollm3', { num_key_value_heads: 4, max_position_embeddings: 32_768, pad_token_id: 128_004 })
    c.only('hidden_act', 'silu', 'swish')
    c.notNull('head_dim')
    const heads = readHeads(c)
    const rotated = rotatedLayers(c)
    const window = optionalWindow(c)
    const windows = layerWindows(c, window, (layer) => !rotated[layer])
    const rope = readRope(c, heads.headDim, { theta: 2_000_000 })
    const bias = c.flag('attention_bias', false)
    const norm = readNorm(c)
    const block = preNorm({
      norm,
      mlp: gatedMlp(c, swiglu, c.flag('mlp_bias', false)),
      attention(t, x, layer) {
        return selfAttention(t, x, heads, { rope: rotated[layer] ? rope : null, bias: { qkv: bias, o: bias }, window: windows[layer] })
      },
    })
    return decoder(c, { norm, block, tied: true })
  },
}

function rotatedLayers(c: Config): boolean[] {
  const rotated = rotatedOf(c)
  c.means('no_rope_layers', rotated, ['no_rope_layer_interval'])
  return rotated
}

/** `no_rope_layers` has a 1 for each layer that rotates; else every `no_rope_layer_interval`th doesn't */
function rotatedOf(c: Config): boolean[] {
  const layers = c.count('num_hidden_layers')
  const interval = c.count('no_rope_layer_interval', 4)
  const given = c.json.no_rope_layers
  if (given === undefined || given === null) return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0)
  if (!Array.isArray(given) || given.length < layers || !given.every((x) => x === 0 || x === 1))
    c.fail('no_rope_layers', `must have a 0 or a 1 for each of ${layers} layers`)
  return given.slice(0, layers).map((x) => x === 1)
}
