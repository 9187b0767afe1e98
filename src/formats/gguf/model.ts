/** The metadata of a GGUF model as families read them: what all have, in the form of config.json, and the rest by name. */
import { SaqrError } from '../../error.ts'
import type { JsonObject } from '../json.ts'
import { endsOf } from './ends.ts'
import type { GgufHeader } from './header.ts'
import { Metadata } from './metadata.ts'
import { ropeScaling } from './rope.ts'

/** Keys below the architecture's name and what config.json calls them: read and written by this table. */
export const KEYS = [
  ['embedding_length', 'hidden_size', 'count'],
  ['feed_forward_length', 'intermediate_size', 'count'],
  ['block_count', 'num_hidden_layers', 'count'],
  ['attention.head_count', 'num_attention_heads', 'count'],
  ['context_length', 'max_position_embeddings', 'count'],
  ['attention.layer_norm_rms_epsilon', 'rms_norm_eps', 'number'],
  ['rope.freq_base', 'rope_theta', 'number'],
] as const

/** `rope_freqs.weight` (Llama 3), `rope_factors_short.weight` and `rope_factors_long.weight` (LongRoPE), where the file has them */
export type RopeFactors = Readonly<Record<string, Float32Array>>

export class GgufModel {
  readonly meta: Metadata
  readonly architecture: string
  readonly #header: GgufHeader
  /** what frequencies are divided by, by the tensor's name */
  readonly factors: RopeFactors
  /** of the layout: false where heads rotate whole */
  partialRotation = false

  constructor(header: GgufHeader, path: string, factors: RopeFactors) {
    this.#header = header
    this.factors = factors
    this.meta = new Metadata(header, path)
    this.architecture = this.meta.string('general.architecture')
  }

  /** a key below the architecture's name */
  key(name: string): string {
    return `${this.architecture}.${name}`
  }

  count(name: string, fallback?: number): number {
    return fallback === undefined ? this.meta.count(this.key(name), 1) : (this.meta.optionalCount(this.key(name), 1) ?? fallback)
  }

  number(name: string, fallback?: number): number {
    return shortest(fallback === undefined ? this.meta.number(this.key(name)) : (this.meta.optionalNumber(this.key(name)) ?? fallback))
  }

  has(tensor: string): boolean {
    return this.#header.tensors.has(tensor)
  }

  unsupported(what: string): SaqrError {
    return new SaqrError('FORMAT_GGUF_ARCHITECTURE', `${this.meta.path} can't be used: it ${what}.`)
  }

  get headDim(): number {
    const [hiddenSize, heads] = [this.count('embedding_length'), this.count('attention.head_count')]
    const rotated = this.partialRotation ? undefined : this.meta.optionalCount(this.key('rope.dimension_count'), 1)
    const headDim = this.meta.optionalCount(this.key('attention.key_length'), 1) ?? rotated ?? hiddenSize / heads
    if (!Number.isInteger(headDim)) throw this.unsupported(`has ${heads} heads, which do not divide its ${hiddenSize} channels`)
    if ((rotated ?? headDim) !== headDim || this.count('attention.value_length', headDim) !== headDim)
      throw this.unsupported('has heads whose keys, values and rotated part differ in size')
    return headDim
  }

  /** tokens that attention looks back over; 0: all (a window as long as the context hides nothing) */
  get window(): number {
    const stated = this.meta.optionalCount(this.key('attention.sliding_window')) ?? 0
    return stated < this.count('context_length') ? stated : 0
  }

  /** which projections have biases; transformers has one switch for q, k and v, and one for the MLP's three */
  get biases(): { qkv: boolean; o: boolean; mlp: boolean } {
    const has = (part: string) => this.has(`blk.0.${part}.bias`)
    const [qkv, mlp] = [['attn_q', 'attn_k', 'attn_v'].map(has), ['ffn_gate', 'ffn_up', 'ffn_down'].map(has)]
    if (new Set(qkv).size !== 1 || new Set(mlp).size !== 1) throw this.unsupported(`has other biases than ${this.architecture} models have`)
    return { qkv: qkv[0]!, o: has('attn_output'), mlp: mlp[0]! }
  }

  /** config.json, less `model_type`, `architectures` and what is a family's own */
  get common(): JsonObject {
    const { headDim } = this
    return {
      ...this.sizes,
      num_key_value_heads: this.count('attention.head_count_kv', this.count('attention.head_count')),
      head_dim: headDim,
      ...ropeScaling(this.meta, this.architecture, this.factors['rope_freqs.weight'], headDim),
    }
  }

  /** of `common` what says nothing of heads of keys */
  get sizes(): JsonObject {
    return {
      ...Object.fromEntries(
        KEYS.map(([key, name, kind]) => [
          name,
          kind === 'count' ? this.count(key) : this.number(key, key === 'rope.freq_base' ? 10000 : undefined),
        ]),
      ),
      tie_word_embeddings: !this.has('output.weight'),
      vocab_size: this.#vocabulary(),
      ...this.tokenIds(),
    }
  }

  /** Rows of the embedding; metadata that say otherwise don't belong to these weights. */
  #vocabulary(): number {
    const { meta } = this
    const stated = meta.optionalCount(this.key('vocab_size'), 1)
    const rows = this.#header.tensors.get('token_embd.weight')?.shape[0] ?? stated ?? meta.optionalTexts('tokenizer.ggml.tokens')?.length
    if (rows === undefined) throw new SaqrError('FORMAT_GGUF', `${meta.path} has no token_embd.weight: it is not a whole model.`)
    if (stated !== undefined && stated !== rows)
      throw new SaqrError('FORMAT_GGUF', `${meta.path}: ${this.key('vocab_size')} is ${stated}, but token_embd.weight has ${rows} rows.`)
    return rows
  }

  tokenIds(): JsonObject {
    const ids: JsonObject = {}
    for (const [name, key] of [['bos', 'bos'], ['eos', 'eos'], ['pad', 'padding']] as const) {
      const id = this.meta.optionalCount(`tokenizer.ggml.${key}_token_id`)
      if (id !== undefined) ids[`${name}_token_id`] = id
    } // biome-ignore format: a table
    return ids
  }

  /** Generation stops at every end that llama.cpp stops at. */
  generationConfig(): JsonObject {
    const ends = endsOf(this.meta)
    return ends.length > 1
      ? { ...this.tokenIds(), eos_token_id: ends }
      : { ...this.tokenIds(), ...(ends.length ? { eos_token_id: ends[0]! } : {}) }
  }
}

/** An f32 as the decimal number it was made from: 1e-5, not 9.999999747378752e-6. */
function shortest(x: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(x.toPrecision(digits))
    if (Math.fround(decimal) === Math.fround(x)) return decimal
  }
  return x
}
