/**
 * Rules that transformers' tokenizer classes keep whatever tokenizer.json says, and which class it takes (`AutoTokenizer` of 5.23): the one
 * that tokenizer_config.json names, but for model types whose checkpoints are known to name a wrong one.
 */
import { SaqrError } from '../error.ts'
import { withRules } from '../formats/bpe-model.ts'
import type { Json, SpecialTokens, TokenizerJson } from './definition.ts'

interface TokenizerClass {
  /** special tokens where the config leaves them out */
  tokens: SpecialTokens
  json(json: TokenizerJson, config: Json): TokenizerJson
}

const classes: Readonly<Record<string, TokenizerClass>> = {
  LlamaTokenizer: { tokens: { unk_token: '<unk>', bos_token: '<s>', eos_token: '</s>' }, json: asLlama },
  Qwen2Tokenizer: { tokens: { unk_token: '<|endoftext|>', eos_token: '<|endoftext|>', pad_token: '<|endoftext|>' }, json: asQwen2 },
  GemmaTokenizer: {
    tokens: { unk_token: '<unk>', bos_token: '<bos>', eos_token: '<eos>', pad_token: '<pad>', mask_token: '<mask>' },
    json: (json) => json,
  },
}

interface OfModelType {
  /** null: tokenizer.json as it stands */
  takes: string | null
  /** whatever tokenizer_config.json names, as checkpoints of the type are known to name a wrong one; else where it names none */
  always?: boolean
}

/** of transformers' own table (5.23) what AutoTokenizer takes for the model types here: no family's to say, as tokenizers are opened without a model */
const ofModelType: Readonly<Record<string, OfModelType>> = {
  mistral: { takes: null, always: true },
  mixtral: { takes: null, always: true },
  phi3: { takes: null, always: true },
  qwen2: { takes: 'Qwen2Tokenizer', always: true },
  qwen3: { takes: 'Qwen2Tokenizer' },
  qwen3_moe: { takes: 'Qwen2Tokenizer' },
  gemma2: { takes: 'GemmaTokenizer' },
  gemma3: { takes: 'GemmaTokenizer' },
  gemma3_text: { takes: 'GemmaTokenizer' },
}

/** Undefined where tokenizer.json is taken as it stands. */
export function classOf(config: Json, json: TokenizerJson, modelType: string | undefined): TokenizerClass | undefined {
  const { takes = null, always = false } = Object.hasOwn(ofModelType, modelType ?? '') ? ofModelType[modelType!]! : {}
  const said = (config.tokenizer_class as string | null | undefined)?.replace(/Fast$/, '')
  const named = always ? takes : (said ?? takes)
  // many checkpoints of Llama 3's kind name Llama 2's class
  if (named === null || (named === 'LlamaTokenizer' && usesBytes(json))) return undefined
  return Object.hasOwn(classes, named) ? classes[named] : undefined
}

/** tokens are bytes written as characters (GPT-2's alphabet), not text with ▁ for a space */
export const usesBytes = (json: TokenizerJson) => JSON.stringify([json.pre_tokenizer, json.decoder]).includes('"ByteLevel"')

/** Metaspace at the first (`legacy: false`) or at every piece of text between special tokens. */
function asLlama(json: TokenizerJson, config: Json): TokenizerJson {
  const prefix = (config.add_prefix_space ?? true) as boolean
  const scheme = prefix ? (config.legacy ? 'always' : 'first') : 'never'
  const decoders = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }]
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 }
  return {
    ...json,
    model: withRules(json.model, { unk_token: null, fuse_unk: true, byte_fallback: true, ignore_merges: false, dropout: null }),
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false },
    decoder: { type: 'Sequence', decoders: prefix ? [...decoders, strip] : decoders },
  }
}

/** Bytes, and a space before every piece of text where the config says so. */
function asQwen2(json: TokenizerJson, config: Json): TokenizerJson {
  if (!usesBytes(json))
    throw new SaqrError(
      'TEXT_TOKENIZER_UNSUPPORTED',
      "tokenizer.json is no tokenizer of bytes, but transformers takes this checkpoint's for Qwen's, which is one. Use a checkpoint with another tokenizer.",
    )
  if (config.add_prefix_space)
    throw new SaqrError(
      'TEXT_TOKENIZER_UNSUPPORTED',
      "tokenizer_config.json sets add_prefix_space, which is not supported for a tokenizer like Qwen's. Set it to false, or use another checkpoint.",
    )
  return json
}
