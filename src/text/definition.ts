/**
 * What a tokenizer is, out of a checkpoint's tokenizer.json and tokenizer_config.json, as transformers 5.23 builds it from them
 * (`TokenizersBackend`): tokens that only the config names are added, and some classes keep rules of their own (classes.ts). What is put around a text is what tokenizer.json says; the config's `add_bos_token` and `add_eos_token` count for nothing.
 */
import { SaqrError } from '../error.ts'
import { hasVocabulary, tablesOf } from '../formats/bpe-model.ts'
import { classOf, usesBytes } from './classes.ts'
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

export const specialNames = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const
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
  /** further tokens that the config gives a name (image_token …): variables of the chat template, as the special ones are */
  named: Readonly<Record<string, string>>
  /** tokens are bytes written as characters (GPT-2's alphabet), not text with ▁ for a space */
  byteLevel: boolean
}

/** @throws SaqrError TEXT_TOKENIZER_… where the files are not a tokenizer, or one that can't be reproduced exactly */
export function define(files: TokenizerFiles, modelType?: string): Definition {
  const config = files.tokenizerConfig as Json
  const complete = completed(files.tokenizerJson as Json)
  const rules = classOf(config, complete, modelType)
  const ruled = rules?.json(complete, config) ?? complete
  const named = namedTokens(config)
  const special = specialTokens(config, named, rules?.tokens ?? {})
  const json = requireSupported({
    ...ruled,
    added_tokens: withConfigTokens(ruled, config, [...Object.values(special), ...Object.values(named)]),
  })
  return { json, special, named, byteLevel: usesBytes(json) }
}

function completed(json: Json): TokenizerJson {
  const model = json.model as TokenizerJson['model'] | undefined
  if (!model || !hasVocabulary(model)) {
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

/** A null in the config means none, what it leaves out is the class's. */
function specialTokens(config: Json, named: Readonly<Record<string, string>>, defaults: SpecialTokens): SpecialTokens {
  const special: SpecialTokens = {}
  for (const name of specialNames) {
    const given = named[name] ?? config[name]
    const content = given === undefined ? defaults[name] : contentOf(given)
    if (content !== undefined) special[name] = content
  }
  return special
}

/** Any other key that ends in _token and names one, and what extra_special_tokens names. */
function namedTokens(config: Json): Record<string, string> {
  const known: readonly string[] = specialNames
  const own = Object.entries(config).filter(([name]) => name.endsWith('_token') && !known.includes(name))
  const { extra_special_tokens: extra } = config
  const more = extra && !Array.isArray(extra) ? Object.entries(extra) : []
  const named = [...own, ...more].map(([name, token]) => [name, contentOf(token)] as const)
  return Object.fromEntries(named.filter((pair): pair is readonly [string, string] => pair[1] !== undefined))
}

/** Special tokens without a name. */
function extraTokens({ extra_special_tokens: extra, additional_special_tokens: additional }: Json): (string | undefined)[] {
  const list = Array.isArray(extra) && extra.length > 0 ? extra : ((additional ?? []) as unknown[])
  return list.map(contentOf)
}

function withConfigTokens(json: TokenizerJson, config: Json, named: readonly string[]): AddedToken[] {
  const tokens = [...json.added_tokens]
  const known = new Set(tokens.map((t) => t.content))
  const { vocabulary } = tablesOf(json.model)
  let next = Math.max(vocabulary.limit, ...tokens.map((t) => t.id + 1))
  const add = (token: AddedToken) => {
    if (known.has(token.content)) return
    known.add(token.content)
    const id = vocabulary.get(token.content) ?? next++
    tokens.push({ ...token, id })
  }
  const decoder = Object.entries((config.added_tokens_decoder ?? {}) as Record<string, AddedToken>)
  for (const [id, token] of decoder.sort(([a], [b]) => Number(a) - Number(b))) add({ ...added(token.content, Number(id)), ...token })
  for (const content of [...named, ...extraTokens(config)]) if (content !== undefined) add(added(content, -1))
  const isSpecial = new Set(named)
  return tokens.map((t) => (isSpecial.has(t.content) ? { ...t, special: true } : t))
}
