/** The configuration of a GGUF model in the form of Hugging Face's config.json. */
import { SaqrError } from '../../error.ts'
import { type JsonObject, show } from '../json.ts'
import type { GgufHeader } from './header.ts'
import { isKnownKey } from './keys.ts'
import { Metadata } from './metadata.ts'
import { ropeScaling } from './rope.ts'

/** By `general.architecture`: the `model_type` and class in transformers. Mistral and SmolLM2 are written as llama. */
const families: Readonly<Record<string, { modelType: string; className: string }>> = {
  llama: { modelType: 'llama', className: 'LlamaForCausalLM' },
  qwen2: { modelType: 'qwen2', className: 'Qwen2ForCausalLM' },
  qwen3: { modelType: 'qwen3', className: 'Qwen3ForCausalLM' },
}

export interface GgufConfig {
  architecture: string
  config: JsonObject
  generationConfig: JsonObject
}

/** Errors: FORMAT_GGUF_ARCHITECTURE for a model we don't have, FORMAT_GGUF for metadata that make no sense. */
export function ggufConfig(header: GgufHeader, path: string, factors: Float32Array | undefined): GgufConfig {
  const meta = new Metadata(header, path)
  const type = meta.optionalString('general.type') ?? 'model'
  if (type !== 'model') throw unsupported(path, `is of type ${show(type)} and not a model`)
  if ((meta.optionalCount('split.count') ?? 1) > 1)
    throw unsupported(path, 'is one part of several; put them together with llama-gguf-split --merge')
  const architecture = meta.string('general.architecture')
  const family = Object.hasOwn(families, architecture) ? families[architecture]! : undefined
  if (!family) throw unsupported(path, `has the architecture ${show(architecture)}; ${Object.keys(families).join(', ')} are supported`)
  const key = (name: string) => `${architecture}.${name}`
  if ((meta.optionalCount(key('expert_count')) ?? 0) > 0) throw unsupported(path, 'is a mixture of experts')
  if (meta.optionalBoolean(key('attention.causal')) === false) throw unsupported(path, 'does not mask the future: it is an encoder')

  const hiddenSize = meta.count(key('embedding_length'), 1)
  const heads = meta.count(key('attention.head_count'), 1)
  const rotated = meta.optionalCount(key('rope.dimension_count'), 1)
  const headDim = meta.optionalCount(key('attention.key_length'), 1) ?? rotated ?? hiddenSize / heads
  if (!Number.isInteger(headDim)) throw unsupported(path, `has ${heads} heads, which do not divide its ${hiddenSize} channels`)
  if ((rotated ?? headDim) !== headDim || (meta.optionalCount(key('attention.value_length')) ?? headDim) !== headDim) {
    throw unsupported(path, 'has heads whose keys, values and rotated part differ in size')
  }
  for (const [full, value] of meta.values) {
    if (full.startsWith(key('')) && !isKnownKey(full.slice(key('').length), value, () => headDim))
      throw unsupported(path, `has ${full} ${show(value)}, which changes the model in a way that is not known here`)
  }
  const context = meta.count(key('context_length'), 1)
  const stated = meta.optionalCount(key('attention.sliding_window')) ?? 0
  // a window as long as the context hides nothing
  const window = stated > 0 && stated < context ? stated : undefined
  const mistral = architecture === 'llama' && window !== undefined
  if (window !== undefined && !mistral) throw unsupported(path, `has ${key('attention.sliding_window')}`)
  const config: JsonObject = {
    architectures: [mistral ? 'MistralForCausalLM' : family.className],
    model_type: mistral ? 'mistral' : family.modelType,
    hidden_act: 'silu',
    hidden_size: hiddenSize,
    intermediate_size: meta.count(key('feed_forward_length'), 1),
    num_hidden_layers: meta.count(key('block_count'), 1),
    num_attention_heads: heads,
    num_key_value_heads: meta.optionalCount(key('attention.head_count_kv'), 1) ?? heads,
    head_dim: headDim,
    max_position_embeddings: context,
    rms_norm_eps: shortest(meta.number(key('attention.layer_norm_rms_epsilon'))),
    rope_theta: shortest(meta.optionalNumber(key('rope.freq_base')) ?? 10000),
    ...ropeScaling(meta, architecture, factors, headDim),
    ...biases(header, architecture, path),
    ...(mistral ? { sliding_window: window } : {}),
    tie_word_embeddings: !header.tensors.has('output.weight'),
    vocab_size: vocabulary(meta, header, key('vocab_size')),
    ...tokenIds(meta),
  }
  return { architecture, config, generationConfig: generation(meta) }
}

/** An f32 as the decimal number it was made from: 1e-5, not 9.999999747378752e-6. */
function shortest(x: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(x.toPrecision(digits))
    if (Math.fround(decimal) === Math.fround(x)) return decimal
  }
  return x
}

/** transformers has one switch for all four projections of attention, and one for the MLP's three. */
function biases(header: GgufHeader, architecture: string, path: string): JsonObject {
  const has = (part: string) => header.tensors.has(`blk.0.${part}.bias`)
  const attention = ['attn_q', 'attn_k', 'attn_v'].map(has)
  const output = has('attn_output')
  const mlp = ['ffn_gate', 'ffn_up', 'ffn_down'].map(has)
  const even = new Set(attention).size === 1 && new Set(mlp).size === 1
  const fits = {
    llama: output === attention[0],
    qwen2: attention[0] && !output && !mlp[0],
    qwen3: output === attention[0] && !mlp[0],
  }[architecture]
  if (!even || !fits) throw unsupported(path, `has other biases than ${architecture} models have`)
  if (architecture === 'qwen2') return {}
  return { attention_bias: output, ...(architecture === 'llama' ? { mlp_bias: mlp[0]! } : {}) }
}

/** Rows of the embedding; metadata that say otherwise don't belong to these weights. */
function vocabulary(meta: Metadata, header: GgufHeader, key: string): number {
  const stated = meta.optionalCount(key, 1)
  const rows = header.tensors.get('token_embd.weight')?.shape[0] ?? stated ?? meta.optionalStrings('tokenizer.ggml.tokens')?.length
  if (rows === undefined) throw new SaqrError('FORMAT_GGUF', `${meta.path} has no token_embd.weight: it is not a whole model.`)
  if (stated !== undefined && stated !== rows)
    throw new SaqrError('FORMAT_GGUF', `${meta.path}: ${key} is ${stated}, but token_embd.weight has ${rows} rows.`)
  return rows
}

function tokenIds(meta: Metadata): JsonObject {
  const ids: JsonObject = {}
  for (const [name, key] of [['bos', 'bos'], ['eos', 'eos'], ['pad', 'padding']] as const) {
    const id = meta.optionalCount(`tokenizer.ggml.${key}_token_id`)
    if (id !== undefined) ids[`${name}_token_id`] = id
  } // biome-ignore format: a table
  return ids
}

/** A turn may end with a token of its own: generation stops at both. */
function generation(meta: Metadata): JsonObject {
  const ids = tokenIds(meta)
  const turn = meta.optionalCount('tokenizer.ggml.eot_token_id')
  if (turn === undefined || turn === ids.eos_token_id) return ids
  return { ...ids, eos_token_id: ids.eos_token_id === undefined ? turn : [ids.eos_token_id, turn] }
}

function unsupported(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_GGUF_ARCHITECTURE', `${path} can't be used: it ${what}.`)
}
