/**
 * What a tokenizer is, out of a checkpoint's tokenizer.json and tokenizer_config.json, as transformers 5.23 builds it from them
 * (`TokenizersBackend`): special tokens that only the config names are added, and `LlamaTokenizer` keeps its own rules of where a leading
 * space goes. What is put around a text is what tokenizer.json says; the config's `add_bos_token` and `add_eos_token` count for nothing.
 */
import { SaqrError } from '../error.ts'
import { requireSupported } from './supported.ts'

export type Json = Record<string, unknown>

export interface AddedToken {
  id: number
  content: string
  special: boolean
  lstrip: boolean
  rstrip: boolean
  normalized: boolean
  single_word: boolean
}

/** A tokenizer.json with every part present. */
export interface TokenizerJson extends Json {
  model: Json & { vocab: Record<string, number>; merges: unknown[] }
  normalizer: Json | null
  pre_tokenizer: Json | null
  post_processor: Json | null
  decoder: Json | null
  added_tokens: AddedToken[]
}

export const specialNames = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'] as const
export type SpecialName = (typeof specialNames)[number]
export type SpecialTokens = Partial<Record<SpecialName, string>>

export interface TokenizerFiles {
  /** contents of tokenizer.json */
  tokenizerJson: object
  /** contents of tokenizer_config.json */
  tokenizerConfig: object
  /** contents of chat_template.jinja, which goes before the config's `chat_template` */
  chatTemplate?: string | null
  /** further templates by name (tool_use, rag …) */
  chatTemplates?: Readonly<Record<string, string>>
}

export interface Definition {
  json: TokenizerJson
  special: SpecialTokens
  /** tokens are bytes written as characters (GPT-2's alphabet), not text with ▁ for a space */
  byteLevel: boolean
}

/** Model types whose `LlamaTokenizer` is taken from tokenizer.json as it stands. */
const ownLlamaTokenizer = (modelType: string | undefined) => modelType === undefined || modelType === 'llama'

/** @throws SaqrError TEXT_TOKENIZER_… where the files are not a tokenizer, or one that can't be reproduced exactly */
export function define(files: TokenizerFiles, modelType?: string): Definition {
  const config = files.tokenizerConfig as Json
  let json = complete(files.tokenizerJson as Json)
  const special = specialTokens(config)
  if (/^LlamaTokenizer(Fast)?$/.test(String(config.tokenizer_class)) && ownLlamaTokenizer(modelType) && !usesBytes(json)) {
    json = asLlamaTokenizer(json, config)
  }
  json = { ...json, added_tokens: withConfigTokens(json, config, special) }
  return { json: requireSupported(json), special, byteLevel: usesBytes(json) }
}

function complete(json: Json): TokenizerJson {
  const model = json.model as TokenizerJson['model'] | undefined
  if (!model || typeof model.vocab !== 'object') {
    throw new SaqrError('TEXT_TOKENIZER_INVALID', 'tokenizer.json has no model with a vocab. Fetch the checkpoint again.')
  }
  const part = (name: string) => (json[name] ?? null) as Json | null
  return {
    ...json,
    model,
    normalizer: part('normalizer'),
    pre_tokenizer: part('pre_tokenizer'),
    post_processor: part('post_processor'),
    decoder: part('decoder'),
    added_tokens: ((json.added_tokens ?? []) as AddedToken[]).map((t) => ({ ...added(t.content, t.id), ...t })),
  }
}

const added = (content: string, id: number): AddedToken => ({
  id,
  content,
  special: true,
  lstrip: false,
  rstrip: false,
  normalized: false,
  single_word: false,
})

/** a token in a config is a string or an AddedToken written out */
const contentOf = (token: unknown): string | undefined =>
  typeof token === 'string' ? token : ((token as { content?: string } | null | undefined)?.content ?? undefined)

function specialTokens(config: Json): SpecialTokens {
  const special: SpecialTokens = {}
  for (const name of specialNames) {
    const content = contentOf(config[name])
    if (content !== undefined) special[name] = content
  }
  return special
}

const usesBytes = (json: TokenizerJson) => JSON.stringify([json.pre_tokenizer, json.decoder]).includes('"ByteLevel"')

/** Metaspace at the first (`legacy: false`) or at every piece of text between special tokens, whatever tokenizer.json says. */
function asLlamaTokenizer(json: TokenizerJson, config: Json): TokenizerJson {
  const prefix = (config.add_prefix_space ?? true) as boolean
  const scheme = prefix ? (config.legacy ? 'always' : 'first') : 'never'
  const decoders = [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }]
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 }
  return {
    ...json,
    model: { ...json.model, unk_token: null, fuse_unk: true, byte_fallback: true, ignore_merges: false, dropout: null },
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false },
    decoder: { type: 'Sequence', decoders: prefix ? [...decoders, strip] : decoders },
  }
}

function withConfigTokens(json: TokenizerJson, config: Json, special: SpecialTokens): AddedToken[] {
  const tokens = [...json.added_tokens]
  const known = new Set(tokens.map((t) => t.content))
  const vocab = json.model.vocab
  let next = Math.max(-1, ...tokens.map((t) => t.id)) + 1
  for (const id of Object.values(vocab)) next = Math.max(next, id + 1)
  const add = (token: AddedToken) => {
    if (known.has(token.content)) return
    known.add(token.content)
    const id = vocab[token.content] ?? next++
    tokens.push({ ...token, id })
  }
  const decoder = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, AddedToken>)
  for (const [id, token] of decoder.sort(([a], [b]) => Number(a) - Number(b))) add({ ...added(token.content, Number(id)), ...token })
  const extra = (config.extra_special_tokens ?? config.additional_special_tokens ?? []) as unknown[] | Record<string, unknown>
  const named = specialNames.map((name) => special[name])
  for (const content of [...named, ...(Array.isArray(extra) ? extra : Object.values(extra)).map(contentOf)]) {
    if (content !== undefined) add(added(content, -1))
  }
  const isSpecial = new Set(named)
  return tokens.map((t) => (isSpecial.has(t.content) ? { ...t, special: true } : t))
}
