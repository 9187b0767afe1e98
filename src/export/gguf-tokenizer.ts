/** A tokenizer as llama.cpp has it in a file's metadata: tokens, their types, merges or scores, how text is cut, chat templates. */
import { SaqrError } from '../error.ts'
import { endsByText } from '../formats/gguf/ends.ts'
import { preTokenizers } from '../formats/gguf/pre-tokenizers.ts'
import { mergesOf } from '../formats/gguf/sentencepiece.ts'
import { bool, type Entries, type Entry, text, u32 } from '../formats/gguf/write.ts'
import { stringifyJson } from '../formats/json.ts'
import { define, type Json, type TokenizerJson } from '../text/definition.ts'
import { gpt2Pattern } from '../text/supported.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { describeTemplates } from './gguf-templates.ts'

/** `tokenizer.ggml.token_type` */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 }

export interface TokenizerWish {
  modelType: string
  /** rows of the embedding: each has a token */
  vocab: number
  /** ids that end a text, beside the tokenizer's own */
  ends: readonly number[]
  /** keep tokenizer.json too: what the other keys say isn't all of it */
  whole: boolean
  /** a chat template in the place of the tokenizer's, which gets a name; null: the tokenizer's is the file's */
  template: string | null
}

/** @throws SaqrError EXPORT_TOKENIZER for one that llama.cpp has no name for */
export function describeTokenizer(tokenizer: Tokenizer, wish: TokenizerWish): Entries {
  const { json } = define(tokenizer.files, wish.modelType)
  if (tokenizer.idLimit > wish.vocab)
    throw new SaqrError(
      'EXPORT_TOKENIZER',
      `the tokenizer has ids up to ${tokenizer.idLimit - 1}, and the embedding ${wish.vocab} rows: a GGUF file needs a row for each token`,
    )
  const tokens = new Array<string | undefined>(wish.vocab).fill(undefined)
  for (const [token, id] of Object.entries(json.model.vocab)) tokens[id] = token
  for (const { id, content } of json.added_tokens) tokens[id] = content
  const types = tokens.map((token) => (token === undefined ? TYPE.unused : TYPE.normal))
  const named = tokens.map((token, id) => token ?? `[PAD${id}]`)
  const isBpe = json.model.type === undefined || json.model.type === 'BPE'
  if (!isBpe) throw unsupported(`it is of the kind ${String(json.model.type)}`)
  const scored = json.model.byte_fallback === true
  const how = scored ? describeScored(json, named, types) : describeByteLevel(json)
  for (const { id, special } of json.added_tokens) types[id] = special ? TYPE.control : TYPE.userDefined
  // a SentencePiece tokenizer's alone: llama.cpp takes a byte-level one's for a token of control, as its own converter writes it
  if (scored && tokenizer.unkId !== null) types[tokenizer.unkId] = TYPE.unknown
  return {
    ...how,
    'tokenizer.ggml.tokens': { kind: 'strings', value: named },
    'tokenizer.ggml.token_type': { kind: 'i32s', value: types },
    ...describeSpecial(tokenizer, wish.ends),
    ...describeTemplates(tokenizer, wish.template),
    ...(wish.whole ? { 'tokenizer.huggingface.json': text(stringifyJson(tokenizer.files.tokenizerJson)) } : {}),
  }
}

function describeByteLevel(json: TokenizerJson): Entries {
  const found = Object.entries(preTokenizers).filter(
    ([, pre]) =>
      same(cuts(json.pre_tokenizer), cuts(pre.preTokenizer)) &&
      same(json.normalizer, pre.normalizer) &&
      (json.model.ignore_merges ?? false) === pre.ignoreMerges,
  )
  const known = found.map(([name]) => name)
  const name = ['llama-bpe', 'smollm', 'qwen2'].find((usual) => known.includes(usual)) ?? known[0]
  if (name === undefined)
    throw unsupported(
      `it cuts text by ${JSON.stringify(json.pre_tokenizer)}${json.normalizer ? ` after ${JSON.stringify(json.normalizer)}` : ''}, for which llama.cpp has none of the names known here (${Object.keys(preTokenizers).join(', ')})`,
    )
  const merges = json.model.merges.map((merge) => (Array.isArray(merge) ? merge.join(' ') : String(merge)))
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text(name),
    'tokenizer.ggml.merges': { kind: 'strings', value: merges },
  }
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** What cuts text, one after the other; offsets don't count, and digits one by one are a pattern as others are. */
function cuts(pre: Json | null): unknown[] {
  if (pre === null) return []
  if (pre.type === 'Sequence') return (pre.pretokenizers as Json[]).flatMap(cuts)
  if (pre.type === 'ByteLevel') {
    const bytes = ['bytes', pre.add_prefix_space ?? true]
    return (pre.use_regex ?? true) ? [['split', gpt2Pattern, 'Isolated', false], bytes] : [bytes]
  }
  if (pre.type === 'Digits' && pre.individual_digits === true) return [['split', '\\p{N}', 'Isolated', false]]
  if (pre.type === 'Split') return [['split', (pre.pattern as Json).Regex ?? pre.pattern, pre.behavior, pre.invert ?? false]]
  return [pre]
}

/** SentencePiece's: merging by score makes what merging in this order does. */
function describeScored(json: TokenizerJson, tokens: readonly string[], types: number[]): Entries {
  const merges = json.model.merges.map(
    (merge): [string, string] => (Array.isArray(merge) ? merge : String(merge).split(' ')) as [string, string],
  )
  const rank = rankOf(merges)
  const scores = tokens.map((token) => -(rank.get(token) ?? rank.size))
  const again = mergesOf(tokens, scores).filter(([left, right]) => rank.has(left + right))
  if (!same(again, merges)) throw unsupported('its merges are not in the order of any scores')
  for (const [id, token] of tokens.entries()) if (/^<0x[0-9A-F]{2}>$/.test(token)) types[id] = TYPE.byte
  return {
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.pre': text('default'),
    'tokenizer.ggml.scores': { kind: 'f32s', value: scores },
    'tokenizer.ggml.add_space_prefix': bool(spaceBefore(json)),
  }
}

/**
 * Which place a token has among those that merges make, the first made first. Tokens whose ways lie between one another's share one: their scores were equal, as
 * those of Gemma's runs of spaces and newlines are.
 */
function rankOf(merges: readonly (readonly [string, string])[]): Map<string, number> {
  const last = new Map(merges.map(([left, right], i) => [left + right, i]))
  const rank = new Map<string, number>()
  let [place, end] = [-1, -1]
  for (const [i, [left, right]] of merges.entries()) {
    if (i > end) place++
    end = Math.max(end, last.get(left + right)!)
    if (!rank.has(left + right)) rank.set(left + right, place)
  }
  return rank
}

const MARK = '▁'

/** Is a space put before a text? @throws SaqrError EXPORT_TOKENIZER for rules that are none of SentencePiece's */
function spaceBefore({ normalizer, pre_tokenizer: pre }: TokenizerJson): boolean {
  const steps = normalizer === null ? [] : normalizer.type === 'Sequence' ? (normalizer.normalizers as Json[]) : [normalizer]
  const replaces = (step: Json) => step.type === 'Replace' && same(step.pattern, { String: ' ' }) && step.content === MARK
  const prepends = (step: Json) => step.type === 'Prepend' && step.prepend === MARK
  if (steps.length > 0 && steps.every((step) => replaces(step) || prepends(step)) && (pre === null || pre.type === 'Split'))
    return steps.some(prepends)
  if (steps.length === 0 && pre?.type === 'Metaspace' && pre.replacement === MARK && pre.split === false)
    return pre.prepend_scheme !== 'never'
  throw unsupported(`it cuts text by ${JSON.stringify(pre)} after ${JSON.stringify(normalizer)}`)
}

function describeSpecial(tokenizer: Tokenizer, ends: readonly number[]): Entries {
  const entries: Record<string, Entry> = {}
  const ids = { bos: tokenizer.bosId, eos: tokenizer.eosId ?? ends[0] ?? null, unknown: tokenizer.unkId, padding: tokenizer.padId }
  for (const [name, id] of Object.entries(ids)) if (id !== null) entries[`tokenizer.ggml.${name}_token_id`] = u32(id)
  const [turn, message] = keyedEnds(tokenizer, ends).keyed
  if (turn !== undefined) entries['tokenizer.ggml.eot_token_id'] = u32(turn)
  if (message !== undefined) entries['tokenizer.ggml.eom_token_id'] = u32(message)
  const around = tokenizer.encode('a')
  const bare = tokenizer.encode('a', { addSpecialTokens: false })
  entries['tokenizer.ggml.add_bos_token'] = bool(around.length > bare.length && around[0] === ids.bos)
  entries['tokenizer.ggml.add_eos_token'] = bool(around.length > bare.length && around.at(-1) === ids.eos && around.at(-1) !== bare.at(-1))
  return entries
}

/** Of ends beside the tokenizer's: those that keys name, and those that neither a key nor their text makes ends of. */
export function keyedEnds(tokenizer: Tokenizer, ends: readonly number[]): { keyed: number[]; left: number[] } {
  const eos = tokenizer.eosId ?? ends[0]
  const others = [...new Set(ends)].filter((id) => id !== eos)
  const textOf = (id: number) => (id < tokenizer.idLimit ? tokenizer.decode([id], { skipSpecialTokens: false }) : '')
  const unknown = others.filter((id) => !endsByText(textOf(id)))
  // a place is left for one whose text says it already, the first of them
  const wanted = unknown.length > 1 ? unknown : [...new Set([...others.slice(0, 1), ...unknown])]
  return { keyed: wanted.slice(0, 2), left: wanted.slice(2) }
}

function unsupported(why: string): SaqrError {
  return new SaqrError('EXPORT_TOKENIZER', `the tokenizer can't be written into a GGUF file: ${why}`)
}
