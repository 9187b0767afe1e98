/** Tokens added to a tokenizer's files, as the Rust library and transformers' `add_tokens` and `add_special_tokens` add them. */
import { SaqrError, say } from '../error.ts'
import { tablesOf } from '../formats/bpe-model.ts'
import { withKeys } from '../formats/json-exact.ts'
import { type Checks, filled, flag, shown, takeOptions, texts } from '../hub/arguments.ts'
import { type AddedToken, type Definition, type Json, type SpecialName, specialNames, type TokenizerFiles } from './definition.ts'

/** A token as transformers' AddedToken describes it; what is left out is false, `normalized` true of a token that is not special. */
export interface TokenToAdd {
  /** its text */
  content: string
  /** white space before it belongs to it */
  lstrip?: boolean
  /** white space behind it belongs to it */
  rstrip?: boolean
  /** found in the text as the normalizer has it, not as it was written */
  normalized?: boolean
  /** not within a word */
  singleWord?: boolean
  /** left out where special tokens are skipped */
  special?: boolean
}

/** Tokens with a name in the tokenizer, as transformers' special_tokens_dict has them. */
export interface SpecialTokensToAdd {
  /** begins a text */
  bosToken?: string
  /** ends a text */
  eosToken?: string
  /** stands for what the vocabulary doesn’t have */
  unkToken?: string
  /** stands between two texts */
  sepToken?: string
  /** fills up rows elsewhere; nothing is padded here */
  padToken?: string
  /** stands for a whole text where one is classified */
  clsToken?: string
  /** stands for what is to be guessed */
  maskToken?: string
  /** special tokens without a name: they take the place of those that the tokenizer lists so far, whose ids stay */
  extraSpecialTokens?: readonly string[]
}

export interface Extended {
  files: TokenizerFiles
  /** how many the library counts: those that were not there just so */
  count: number
}

const FLAGS: Checks<TokenToAdd> = { content: filled, lstrip: flag, rstrip: flag, normalized: flag, singleWord: flag, special: flag }

/** what addTokens is handed. @throws SaqrError OPTION_INVALID */
export function tokensToAdd(given: unknown): TokenToAdd[] {
  const one = (token: unknown): TokenToAdd => {
    if (typeof token === 'string') return { content: token }
    if (typeof token !== 'object' || token === null || Array.isArray(token))
      throw new SaqrError(
        'OPTION_INVALID',
        `addTokens takes texts, or { content, lstrip, rstrip, normalized, singleWord }, not ${shown(token)}`,
      )
    const { content, ...flags } = takeOptions<TokenToAdd>(token, 'addTokens', FLAGS, { single_word: 'singleWord' })
    if (content === undefined) throw new SaqrError('OPTION_INVALID', `a token to add needs its content: ${shown(token)} has none`)
    return { content, ...flags }
  }
  return (Array.isArray(given) ? given : [given]).map(one)
}

export const ADD: Checks<{ special?: boolean }> = { special: flag }

export const SPECIAL: Checks<SpecialTokensToAdd> = {
  bosToken: filled,
  eosToken: filled,
  unkToken: filled,
  sepToken: filled,
  padToken: filled,
  clsToken: filled,
  maskToken: filled,
  extraSpecialTokens: texts,
}

/** The Rust library's `add_tokens`: an empty one and one that is there just so are passed over, one that is there otherwise takes the new flags. One that has a name (eos_token) is special whatever they say, as it is where it is read again. */
export function withTokens(files: TokenizerFiles, { json }: Definition, tokens: readonly TokenToAdd[], special = false): Extended {
  const added = new Map(json.added_tokens.map((t) => [t.content, t]))
  const { vocabulary } = tablesOf(json.model)
  let next = Math.max(vocabulary.ids.length, ...json.added_tokens.map((t) => t.id + 1))
  const changed: AddedToken[] = []
  let count = 0
  for (const given of tokens) {
    const { content } = given
    if (content === '') continue
    const isSpecial = given.special ?? special
    const flags = {
      content,
      single_word: given.singleWord ?? false,
      lstrip: given.lstrip ?? false,
      rstrip: given.rstrip ?? false,
      normalized: given.normalized ?? !isSpecial,
      special: isSpecial,
    }
    const there = added.get(content)
    if (there && Object.entries(flags).every(([key, value]) => there[key as keyof AddedToken] === value)) continue
    const token = { id: there?.id ?? vocabulary.get(content) ?? next++, ...flags }
    added.set(content, token)
    changed.push(token)
    count++
  }
  const sorted = [...added.values()].sort((a, b) => a.id - b.id)
  const config = files.tokenizerConfig as Json
  // an older file lists them, and what it lists goes before the library's
  const listed = config.added_tokens_decoder as Json | undefined
  const more = Object.fromEntries(changed.map(({ id, ...token }) => [String(id), token]))
  return {
    count,
    files: {
      ...files,
      tokenizerJson: withKeys(files.tokenizerJson as Json, { added_tokens: sorted }),
      tokenizerConfig: listed ? withKeys(config, { added_tokens_decoder: { ...listed, ...more } }) : config,
    },
  }
}

/** transformers' `add_special_tokens`: they are added as special ones, and the configuration names them. */
export function withSpecialTokens(files: TokenizerFiles, definition: Definition, given: SpecialTokensToAdd): Extended {
  const { extraSpecialTokens: extra, ...named } = given
  const keys = Object.entries(named).map(([key, token]): [SpecialName, string] => [nameOf(key), token])
  const tokens = Object.values(given).flat() as string[]
  const { files: made, count } = withTokens(
    files,
    definition,
    tokens.map((content) => ({ content })),
    true,
  )
  const config: Json = { ...Object.fromEntries(keys) }
  // `additional_special_tokens` is what older files call them
  if (extra?.length) Object.assign(config, { extra_special_tokens: [...extra], additional_special_tokens: undefined })
  return { count, files: { ...made, tokenizerConfig: withKeys(made.tokenizerConfig as Json, config) } }
}

function nameOf(key: string): SpecialName {
  const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  const found = specialNames.find((one) => one === name)
  if (!found) throw new SaqrError('OPTION_INVALID', say`${key} is no special token: ${specialNames.join(', ')}`)
  return found
}
