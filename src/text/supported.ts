/**
 * The parts of a tokenizer.json that are reproduced exactly. Where the tokenizer library differs from the Rust one in a part that an
 * equal one can be written for (GPT-2's pattern, digits of every script), it is written so; anything else is refused by name.
 */
import { SaqrError } from '../error.ts'
import { hasMerges, tablesOf } from '../formats/bpe-model.ts'
import type { Json, TokenizerJson } from './definition.ts'
import { untranslatable } from './regex.ts'

/** ByteLevel's built-in pattern. Through `Split` it is translated: JavaScript's own \s is not Unicode's White_Space. */
export const gpt2Pattern = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

const refuse = (what: string): never => {
  throw new SaqrError(
    'TEXT_TOKENIZER_UNSUPPORTED',
    `tokenizer.json uses ${what}, which is not reproduced exactly yet. Use a checkpoint with another tokenizer.`,
  )
}

const isolated = (pattern: string): Json => ({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false })

/** @throws SaqrError TEXT_TOKENIZER_UNSUPPORTED */
export function requireSupported(json: TokenizerJson): TokenizerJson {
  model(json.model)
  const normalizer = json.normalizer && normalize(json.normalizer)
  const replacesSpace = parts(normalizer, 'normalizers').some((n) => n.type === 'Replace' && textPattern(n) === ' ' && n.content !== ' ')
  const pre = json.pre_tokenizer && preTokenize(json.pre_tokenizer, replacesSpace)
  for (const p of parts(json.post_processor, 'processors')) postProcess(p, json)
  for (const p of parts(json.decoder, 'decoders')) decode(p)
  return { ...json, normalizer, pre_tokenizer: pre }
}

/** a sequence's parts, or the one there is */
const parts = (part: Json | null, list: string): Json[] =>
  part === null ? [] : part.type === 'Sequence' ? (part[list] as Json[]).flatMap((p) => parts(p, list)) : [part]

const sequence = (part: Json, list: string, of: (p: Json) => Json): Json => ({ ...part, [list]: (part[list] as Json[]).map(of) })

const textPattern = (part: Json) => (part.pattern as { String?: string }).String

function requirePattern(part: Json, where: string): void {
  const { String: text, Regex: regex } = part.pattern as { String?: string; Regex?: string }
  if (text === undefined && regex === undefined) refuse(`a ${where} without a pattern`)
  const feature = regex === undefined ? null : untranslatable(regex)
  if (feature) refuse(`${feature} in the pattern of its ${where}`)
}

function model(model: Json): void {
  if ((model.type ?? 'BPE') !== 'BPE' || !hasMerges(model))
    refuse(`a ${model.type ?? 'vocabulary without merges'} model (BPE is supported)`)
  if (model.dropout) refuse(`BPE dropout ${model.dropout}`)
  for (const key of ['continuing_subword_prefix', 'continuing_subword_suffix', 'end_of_word_suffix'])
    if (model[key]) refuse(`BPE with ${key}`)
}

function normalize(part: Json): Json {
  switch (part.type) {
    case 'Sequence':
      return sequence(part, 'normalizers', normalize)
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
    case 'Prepend':
      return part
    case 'Replace':
      requirePattern(part, 'Replace normalizer')
      if (String(part.content).includes('$')) refuse('a Replace normalizer that writes $')
      return part
    default:
      return refuse(`the normalizer ${part.type}`)
  }
}

function preTokenize(part: Json, replacesSpace: boolean): Json {
  switch (part.type) {
    case 'Sequence':
      return sequence(part, 'pretokenizers', (p) => preTokenize(p, replacesSpace))
    case 'ByteLevel': {
      const bytes = { ...part, use_regex: false }
      if (part.use_regex === false) return part
      if (part.add_prefix_space) refuse('ByteLevel with its own pattern and add_prefix_space')
      return { type: 'Sequence', pretokenizers: [isolated(gpt2Pattern), bytes] }
    }
    case 'Digits':
      return isolated(part.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`)
    case 'Metaspace':
      if (part.split !== false) refuse('Metaspace that splits')
      if (part.prepend_scheme === undefined && part.add_prefix_space === false) return { ...part, prepend_scheme: 'never' }
      return part
    case 'Split': {
      requirePattern(part, 'Split')
      const keeps = part.behavior === 'Isolated' && !part.invert
      const matches = part.behavior === 'Removed' && part.invert === true
      // a split at spaces finds none where the normalizer has replaced them all
      if (!keeps && !matches && !(textPattern(part) === ' ' && replacesSpace))
        refuse(`Split with ${part.behavior}${part.invert ? ' inverted' : ''}`)
      return part
    }
    default:
      return refuse(`the pre-tokenizer ${part.type}`)
  }
}

function postProcess(part: Json, json: TokenizerJson): void {
  if (part.type === 'ByteLevel') return
  if (part.type !== 'TemplateProcessing') refuse(`the post-processor ${part.type}`)
  const ids = new Map(json.added_tokens.map((t) => [t.content, t.id]))
  for (const item of part.single as { SpecialToken?: { id: string } }[]) {
    const name = item.SpecialToken?.id
    if (name === undefined) continue
    const meant = (part.special_tokens as Record<string, { ids: number[] }>)[name]?.ids
    if (meant?.length !== 1 || meant[0] !== (ids.get(name) ?? tablesOf(json.model).vocabulary.get(name)))
      refuse(`a template whose ${name} is not that token`)
  }
}

function decode(part: Json): void {
  if (part.type === 'Replace' && textPattern(part) === undefined) refuse('a Replace decoder with a pattern')
  if (!['ByteLevel', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace', 'Replace'].includes(part.type as string))
    refuse(`the decoder ${part.type}`)
}
