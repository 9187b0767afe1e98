/**
 * Gemma 3 (Gemma Team 2025): Gemma 2's block with every query and key head normalised in the place of the scores' caps, five layers over a
 * window to one over all, each kind with its own rotation. `gemma3_text` is the model of text (270M, 1B), `gemma3` the same beside a vision
 * tower (4B, 12B, 27B), of which the text model alone is computed with.
 */
import { LLAMA_PARTS } from '../formats/gguf/layout.ts'
import type { GgufModel } from '../formats/gguf/model.ts'
import { type Entries, f32, text, u32 } from '../formats/gguf/write.ts'
import { Float } from '../formats/json.ts'
import { geglu } from '../ops/geglu/op.ts'
import { Config, type Json } from './config.ts'
import { checkUnused } from './config-keys.ts'
import { decoder } from './decoder.ts'
import type { Composite, Family, Model } from './family.ts'
import { capOf, capped, gemmaBlock, timesRoot } from './gemma.ts'
import { type Described, describeDecoder, type FamilyGguf, withKeys } from './gguf-describe.ts'
import { gatedMlp } from './mlp.ts'
import { readNorm } from './norm.ts'
import { type RopeTable, ropeOf } from './rope.ts'
import { readHeads, selfAttention } from './self-attention.ts'
import { layerWindows, windowOf } from './windows.ts'

/** of Gemma3TextConfig: the 4B's file leaves most of it out */
const DEFAULTS = {
  vocab_size: 262_208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  max_position_embeddings: 131_072,
  sliding_window: 4096,
  pad_token_id: 0,
}

/** every so many layers one attends over all tokens */
const PERIOD = 6
const THETA = { full: 1_000_000, sliding: 10_000 }

const gguf: FamilyGguf = {
  architecture: 'gemma3',
  parts: {
    ...LLAMA_PARTS,
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
  },
  normsPlusOne: true,
  keys: ['final_logit_softcapping'],
  describe,
  config(model) {
    if (Object.values(model.biases).some((b) => b)) throw model.unsupported('has biases, which gemma3 models have none of')
    const cap = model.number('final_logit_softcapping', 0)
    // a file without a window has been written of a model that attends over all in every layer
    const window = model.meta.optionalCount(model.key('attention.sliding_window')) ?? 0
    return {
      hidden_activation: 'gelu_pytorch_tanh',
      ...model.common,
      rope_theta: model.number('rope.freq_base', THETA.full),
      rope_local_base_freq: model.number('rope.freq_base_swa', THETA.sliding),
      sliding_window: window || DEFAULTS.sliding_window,
      sliding_window_pattern: window === 0 ? 1 : model.count('attention.sliding_window_pattern', PERIOD),
      final_logit_softcapping: cap === 0 ? null : new Float(cap),
      query_pre_attn_scalar: queryScalar(model),
    }
  },
}

/** The rotation of layers over all tokens as others have theirs; of those over a window its base alone. */
function describe(c: Config): Described {
  const slides = slidingLayers(c, (layer) => (layer + 1) % c.count('sliding_window_pattern', PERIOD) !== 0)
  const kinds = c.within('rope_parameters')
  const full = { ...kinds.object('full_attention'), ...c.object('rope_scaling') }
  const sliding = kinds.object('sliding_attention') ?? {}
  const theta = (of: Json, key: string, otherwise: number) =>
    f32(typeof of.rope_theta === 'number' ? of.rope_theta : c.number(key, otherwise))
  const linear: Entries =
    (full.rope_type ?? full.type) === 'linear'
      ? { 'rope.scaling.type': text('linear'), 'rope.scaling.factor': f32(full.factor as number) }
      : {}
  const cap = capOf(c, 'final_logit_softcapping')
  const period = slides.indexOf(false) + 1
  return withKeys(
    describeDecoder(new Config({ ...c.json, rope_parameters: null, rope_scaling: null }, c.modelType, DEFAULTS), {
      headDim: DEFAULTS.head_dim,
    }),
    {
      'rope.freq_base': theta(full, 'rope_theta', THETA.full),
      ...linear,
      'rope.freq_base_swa': theta(sliding, 'rope_local_base_freq', THETA.sliding),
      ...(slides.includes(true) ? { 'attention.sliding_window': u32(windowOf(c)) } : {}),
      ...(slides.includes(true) && period !== PERIOD && period > 0 ? { 'attention.sliding_window_pattern': u32(period) } : {}),
      ...(cap > 0 ? { final_logit_softcapping: f32(cap) } : {}),
    },
  )
}

/** No key says it: llama.cpp goes by the number of layers, of which the 27B has 62. */
function queryScalar(model: GgufModel): number {
  return model.count('block_count') === 62 ? model.count('embedding_length') / model.count('attention.head_count') : model.headDim
}

export const gemma3Text: Family = {
  modelType: 'gemma3_text',
  architecture: 'Gemma3ForCausalLM',
  gguf,
  open: (json) => {
    const c = new Config(json, 'gemma3_text', DEFAULTS)
    return textModel(c, capOf(c, 'final_logit_softcapping'))
  },
}

const COMPOSITE: Composite = {
  config: 'text_config',
  beside: ['model.vision_tower', 'model.multi_modal_projector'],
  files: ['preprocessor_config.json', 'processor_config.json'],
  // as transformers names them; before 4.52 the text model was a whole one of its own, and its files are written so to this day
  renamed: (name) =>
    name
      .replace(/^language_model\.lm_head(?=\.|$)/, 'lm_head')
      .replace(/^(?:model\.)?language_model\.(?:model\.)?/, 'model.language_model.')
      .replace(/^(?=(?:vision_tower|multi_modal_projector)\.)/, 'model.'),
  older: (name) =>
    name
      .replace(/^model\.language_model\./, 'language_model.model.')
      .replace(/^lm_head(?=\.|$)/, 'language_model.lm_head')
      .replace(/^model\.(?=(?:vision_tower|multi_modal_projector)\.)/, ''),
}

export const gemma3: Family = {
  modelType: 'gemma3',
  architecture: 'Gemma3ForConditionalGeneration',
  written: gguf,
  beside: ['vision_config'],
  open(json) {
    const whole = new Config(json, 'gemma3')
    const c = whole.within('text_config', DEFAULTS)
    checkUnused(c.json, 'text_config.')
    c.only('model_type', 'gemma3_text')
    // Gemma3ForConditionalGeneration caps no logits, whatever its text_config says
    capOf(c, 'final_logit_softcapping')
    return textModel(c, 0, { ...COMPOSITE, path: 'model.language_model', whole })
  },
}

function textModel(c: Config, logitCap: number, inside?: Composite & { path: string; whole: Config }): Model {
  c.only('hidden_activation', 'gelu_pytorch_tanh')
  c.notNull('num_key_value_heads')
  c.only('use_bidirectional_attention', false, null)
  // a key of Gemma 2 that the class still has and its attention doesn't read
  capOf(c, 'attn_logit_softcapping')
  const heads = readHeads(c, DEFAULTS.head_dim)
  const period = c.count('sliding_window_pattern', PERIOD)
  const slides = slidingLayers(c, (layer) => (layer + 1) % period !== 0)
  const window = slides.includes(true) ? windowOf(c) : 0
  if (window === 0 && slides.includes(true)) c.fail('sliding_window', 'is null, but layers have a window')
  const ropes = readRopes(c, heads.headDim)
  const norm = { ...readNorm(c), plusOne: true }
  const bias = c.flag('attention_bias', false)
  const options = { bias: { qkv: bias, o: bias }, qkNorm: norm, scale: c.count('query_pre_attn_scalar', 256) ** -0.5 }
  return decoder(c, {
    norm,
    tied: true,
    inside,
    embedded: timesRoot,
    block: gemmaBlock({
      norm,
      mlp: gatedMlp(c, geglu),
      attention: (t, x, layer) =>
        selfAttention(t, x, heads, { ...options, rope: slides[layer] ? ropes.sliding : ropes.full, window: slides[layer] ? window : 0 }),
    }),
    capped: capped(logitCap),
  })
}

/** which layers look back over the window, and turn by its rotation */
function slidingLayers(c: Config, otherwise: (layer: number) => boolean): boolean[] {
  const types = c.json.layer_types
  if (Array.isArray(types) && types.includes('attention'))
    c.fail('layer_types', 'must name full_attention or sliding_attention, not attention')
  return layerWindows(c, 1, otherwise).map((window) => window > 0)
}

/**
 * `rope_parameters` of each kind of layer; or, as files were before transformers 5, `rope_theta` and `rope_scaling` of those over all tokens
 * and `rope_local_base_freq` of those over a window.
 */
export function readRopes(c: Config, headDim: number): { full: RopeTable; sliding: RopeTable } {
  const kinds = c.within('rope_parameters')
  const flat = Object.keys(kinds.json).find((key) => key !== 'full_attention' && key !== 'sliding_attention')
  if (flat !== undefined) kinds.fail(flat, 'stands where parameters of full_attention and of sliding_attention must stand')
  const of = (kind: 'full_attention' | 'sliding_attention', older: Json, key: string, theta: number) => {
    const scaling = { ...(kinds.object(kind) ?? { rope_type: 'default' }), ...older }
    return ropeOf(c, headDim, scaling, { at: `rope_parameters.${kind}`, theta: () => c.number(key, theta) })
  }
  return {
    full: of('full_attention', c.object('rope_scaling') ?? {}, 'rope_theta', THETA.full),
    sliding: of('sliding_attention', {}, 'rope_local_base_freq', THETA.sliding),
  }
}
