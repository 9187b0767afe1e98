/** A folder with a Llama of random weights large enough that two percent of its memory are more than a context's whims: 0.4 B parameters. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bf16Bits } from '../../src/devices/reference/numbers.ts'
import { SeededRandom } from '../../src/engine/random.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { byteTokenizer } from '../../test/cli/tiny-model.ts'

const [channels, hidden, layers, heads, kvHeads, headDim, vocab] = [2048, 8192, 4, 32, 8, 64, 32000]
/** different numbers drawn; longer tensors repeat them */
const DIFFERENT = 1 << 20

export async function writeMiddlingModel(folder: string): Promise<void> {
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: channels,
    intermediate_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    vocab_size: vocab,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    dtype: 'bfloat16',
  }
  const shapes: Record<string, number[]> = {
    'model.embed_tokens.weight': [vocab, channels],
    'model.norm.weight': [channels],
    'lm_head.weight': [vocab, channels],
  }
  for (let l = 0; l < layers; l++) {
    const block = {
      'input_layernorm.weight': [channels],
      'post_attention_layernorm.weight': [channels],
      'self_attn.q_proj.weight': [heads * headDim, channels],
      'self_attn.k_proj.weight': [kvHeads * headDim, channels],
      'self_attn.v_proj.weight': [kvHeads * headDim, channels],
      'self_attn.o_proj.weight': [channels, heads * headDim],
      'mlp.gate_proj.weight': [hidden, channels],
      'mlp.up_proj.weight': [hidden, channels],
      'mlp.down_proj.weight': [channels, hidden],
    }
    for (const [name, size] of Object.entries(block)) shapes[`model.layers.${l}.${name}`] = size
  }
  const random = new SeededRandom(1, 'weights')
  const pool = Uint16Array.from({ length: DIFFERENT }, () => bf16Bits(0.02 * random.normal()))
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const values = new Uint16Array(shape.reduce((a, b) => a * b, 1))
    if (name.includes('norm')) values.fill(bf16Bits(1))
    else for (let at = 0; at < values.length; at += DIFFERENT) values.set(pool.subarray(0, Math.min(DIFFERENT, values.length - at)), at)
    return { name, dtype: 'BF16' as const, shape, data: bytesOf(values) }
  })
  mkdirSync(folder, { recursive: true })
  await writeSafetensors(join(folder, 'model.safetensors'), tensors)
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer()))
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '</s>' }))
}
