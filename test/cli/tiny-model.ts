/** A folder with a tiny Llama of random weights over bytes, and rows for it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SeededRandom } from '../../src/engine/random.ts'
import { bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'

export const shape = { layers: 2, channels: 32, heads: 2, kvHeads: 1, headDim: 16, hidden: 48, vocab: 259 }

/** @param half are its weights bf16? */
export async function writeTinyModel(folder: string, of: Partial<typeof shape> = {}, half = false): Promise<void> {
  const { layers, channels, heads, kvHeads, headDim, hidden, vocab } = { ...shape, ...of }
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
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    eos_token_id: EOS,
    dtype: half ? 'bfloat16' : 'float32',
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
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const tensors = Object.entries(shapes).map(([name, size]) => {
    const random = new SeededRandom(1, name)
    const draw = () => (name.includes('norm') ? 1 : 0.3 * random.normal())
    const values = Float32Array.from({ length: size.reduce((a, b) => a * b, 1) }, draw)
    return half
      ? { name, dtype: 'BF16' as const, shape: size, data: bytesOf(f32ToBf16(values)) }
      : { name, dtype: 'F32' as const, shape: size, data: bytesOf(values) }
  })
  await writeSafetensors(join(folder, 'model.safetensors'), tensors)
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer()))
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '</s>' }))
}

const EOS = 258

/** A token a byte, written as GPT-2 writes bytes: printable ones as themselves, the others from U+0100 on. */
export function byteTokenizer() {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let next = 256
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(256, '<pad>'), special(257, '<s>'), special(EOS, '</s>')],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries([...bytes, '<pad>', '<s>', '</s>'].map((token, id) => [token, id])),
      merges: [],
    },
  }
}

/** Sentences that begin alike more often than not. */
export function tinyRows(): string {
  const rows = ['falcon', 'heron', 'owl', 'crane', 'kite'].flatMap((bird) =>
    ['waits', 'sings at night', 'is older than the wall', 'was found by a boy'].map(
      (what) => `By the sea in the old town the white ${bird} ${what}.`,
    ),
  )
  return rows.map((text) => `${JSON.stringify({ text })}\n`).join('')
}
