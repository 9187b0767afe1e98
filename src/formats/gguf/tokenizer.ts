/** The tokenizer in a GGUF file's metadata, as the tokenizer.json and tokenizer_config.json that it was made from. */
import { SaqrError } from '../../error.ts'
import { BpeTables, lateModel } from '../bpe-model.ts'
import { isObject, type JsonObject, parseJson, show } from '../json.ts'
import type { TokenizerFiles } from '../tensor.ts'
import type { Texts } from '../texts.ts'
import { MergeTexts, type Vocabulary, vocabularyIn } from '../vocabulary.ts'
import type { GgufHeader } from './header.ts'
import { Metadata } from './metadata.ts'
import { preTokenizers } from './pre-tokenizers.ts'
import { mergesOf, sentencePieceParts } from './sentencepiece.ts'

/** `tokenizer.ggml.token_type` */
const kind = { unknown: 2, control: 3, userDefined: 4 }

interface Parts {
  normalizer: JsonObject | null
  preTokenizer: JsonObject
  decoder: JsonObject
  model: JsonObject
  tables: BpeTables
  addBos: boolean
  addSpace: boolean
}

/** Undefined where the file has none. `lacks`: see `GgufLayout`. Errors: FORMAT_GGUF_TOKENIZER for one of a kind we don't have, FORMAT_GGUF for a broken one. */
export function ggufTokenizer(header: GgufHeader, path: string, lacks?: string): TokenizerFiles | undefined {
  const meta = new Metadata(header, path)
  const type = meta.optionalString('tokenizer.ggml.model')
  if (type === undefined || type === 'none' || type === 'no_vocab') return undefined
  const original = originalJson(meta)
  if (lacks !== undefined && !original) throw unsupported(path, `doesn't say ${lacks}`)
  const tokens = meta.texts('tokenizer.ggml.tokens')
  if (type !== 'gpt2' && type !== 'llama') throw unsupported(path, `is of the kind ${show(type)}; gpt2 and llama are supported`)
  const vocabulary = vocabularyIn(tokens)
  const parts = type === 'gpt2' ? byteLevelParts(meta, vocabulary) : scoredParts(meta, tokens)
  const special = specialTokens(meta, tokens)
  const addBos = meta.optionalBoolean('tokenizer.ggml.add_bos_token') ?? parts.addBos
  const addEos = meta.optionalBoolean('tokenizer.ggml.add_eos_token') ?? false
  const tokenizerJson: JsonObject = original ?? {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(meta, tokens, special),
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: postProcessor(addBos ? special.bos : undefined, addEos ? special.eos : undefined),
    decoder: parts.decoder,
    model: lateModel(
      {
        type: 'BPE',
        dropout: null,
        unk_token: type === 'llama' ? (special.unk?.token ?? null) : null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        ...parts.model,
      },
      parts.tables,
    ),
  }
  const { default: chatTemplate, ...chatTemplates } = templates(meta)
  const tokenizerConfig: JsonObject = {
    add_bos_token: addBos,
    add_eos_token: addEos,
    add_prefix_space: parts.addSpace,
    ...Object.fromEntries(Object.entries(special).map(([name, { token }]) => [`${name}_token`, token])),
    clean_up_tokenization_spaces: false,
    tokenizer_class: 'PreTrainedTokenizerFast',
  }
  return { tokenizerJson, tokenizerConfig, chatTemplate, chatTemplates }
}

function byteLevelParts(meta: Metadata, vocabulary: Vocabulary): Parts {
  const name = meta.optionalString('tokenizer.ggml.pre') ?? 'default'
  const pre = Object.hasOwn(preTokenizers, name) ? preTokenizers[name] : undefined
  if (!pre)
    throw unsupported(
      meta.path,
      `cuts text by the rules ${show(name)} (tokenizer.ggml.pre); ${Object.keys(preTokenizers).join(', ')} are supported`,
    )
  const written = meta.texts('tokenizer.ggml.merges')
  const tables = new BpeTables(vocabulary, () => new MergeTexts(written, false))
  const { texts, ids } = tables.merges
  const wrong = Math.min(...[texts.notTwo(), ids.wrong].filter((i) => i !== -1))
  if (wrong !== Infinity)
    throw new SaqrError(
      'FORMAT_GGUF',
      `${meta.path}: tokenizer.ggml.merges[${wrong}] is ${show(written.at(wrong))}, it must be two tokens that make a third.`,
    )
  return {
    normalizer: pre.normalizer,
    preTokenizer: pre.preTokenizer,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { fuse_unk: false, byte_fallback: false, ignore_merges: pre.ignoreMerges },
    tables,
    addBos: pre.addBos,
    addSpace: false,
  }
}

function scoredParts(meta: Metadata, tokens: Texts): Parts {
  const scores = meta.optionalNumbers('tokenizer.ggml.scores')
  if (scores?.length !== tokens.length)
    throw new SaqrError('FORMAT_GGUF', `${meta.path} has ${tokens.length} tokens and ${scores?.length ?? 'no'} scores.`)
  const addSpace = meta.optionalBoolean('tokenizer.ggml.add_space_prefix') ?? true
  return {
    normalizer: null,
    ...sentencePieceParts(addSpace),
    tables: new BpeTables(vocabularyIn(tokens), () => MergeTexts.of(mergesOf(tokens.toArray(), scores))),
    addBos: true,
    addSpace,
  }
}

/** Some converters keep the whole tokenizer.json. */
function originalJson(meta: Metadata): JsonObject | undefined {
  const text = meta.optionalString('tokenizer.huggingface.json')
  const json = text === undefined ? undefined : parseJson(text, `${meta.path}: tokenizer.huggingface.json`)
  return isObject(json) ? json : undefined
}

interface Token {
  token: string
  id: number
}

function specialTokens(meta: Metadata, tokens: Texts): Partial<Record<'bos' | 'eos' | 'unk' | 'pad', Token>> {
  const found: Partial<Record<'bos' | 'eos' | 'unk' | 'pad', Token>> = {}
  for (const [name, key] of [['bos', 'bos'], ['eos', 'eos'], ['unk', 'unknown'], ['pad', 'padding']] as const) {
    const id = meta.optionalCount(`tokenizer.ggml.${key}_token_id`)
    if (id === undefined) continue
    if (id >= tokens.length) throw new SaqrError('FORMAT_GGUF', `${meta.path}: tokenizer.ggml.${key}_token_id is ${id}, but there are ${tokens.length} tokens.`)
    found[name] = { token: tokens.at(id), id }
  } // biome-ignore format: a table
  return found
}

/** Control tokens are special; those a user defined are kept whole in text too, but are text. */
function addedTokens(meta: Metadata, tokens: Texts, special: Partial<Record<string, Token>>): JsonObject[] {
  const types = meta.optionalNumbers('tokenizer.ggml.token_type')
  if (types && types.length !== tokens.length)
    throw new SaqrError('FORMAT_GGUF', `${meta.path} has ${tokens.length} tokens and ${types.length} token types.`)
  const named = new Uint8Array(tokens.length)
  for (const token of Object.values(special)) if (token) named[token.id] = 1
  const added: JsonObject[] = []
  for (let id = 0; id < tokens.length; id++) {
    const type = types?.[id]
    const isSpecial = named[id] === 1 || type === kind.control || type === kind.unknown
    const content = isSpecial || type === kind.userDefined ? tokens.at(id) : ''
    if (content !== '') added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: isSpecial })
  }
  return added
}

function postProcessor(bos: Token | undefined, eos: Token | undefined): JsonObject | null {
  if (!bos && !eos) return null
  const special = (token: Token, type_id: number) => ({ SpecialToken: { id: token.token, type_id } })
  const sequence = (id: 'A' | 'B', type_id: number) => [
    ...(bos ? [special(bos, type_id)] : []),
    { Sequence: { id, type_id } },
    ...(eos ? [special(eos, type_id)] : []),
  ]
  const used = [bos, eos].filter((token) => token !== undefined)
  return {
    type: 'TemplateProcessing',
    single: sequence('A', 0),
    pair: [...sequence('A', 0), ...sequence('B', 1)],
    special_tokens: Object.fromEntries(used.map(({ token, id }) => [token, { id: token, ids: [id], tokens: [token] }])),
  }
}

function templates(meta: Metadata): Record<string, string> {
  const found: Record<string, string> = {}
  for (const key of meta.values.keys()) {
    const [, name] = /^tokenizer\.chat_template(?:\.(.+))?$/.exec(key) ?? []
    if (key === 'tokenizer.chat_template') found.default = meta.string(key)
    else if (name !== undefined) found[name] = meta.string(key)
  }
  return found
}

function unsupported(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_GGUF_TOKENIZER', `${path} has a tokenizer that can't be used: it ${what}.`)
}
