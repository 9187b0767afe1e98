/** What the calls of a tokenizer take. */
import { SaqrError } from '../error.ts'
import { type Check, type Checks, filled, flag, instance, kind, mapping, number, orNull, shown, text } from '../hub/arguments.ts'
import type { ChatOptions, Message } from './chat-template.ts'
import type { TokenizerFiles } from './definition.ts'
import type { TokenizerOptions } from './tokenizer.ts'

export const anyNumber: Check<number> = number('a token id', () => true)

const asList = (v: unknown) => (v instanceof Int32Array || v instanceof Uint32Array ? Array.from(v) : v)
export const tokenIds: Check<number[]> = {
  what: 'a list of token ids',
  take: (v) => numbers.take(asList(v)),
}
const numbers = kind<number[]>('a list of token ids', (v) => Array.isArray(v) && v.every((one) => typeof one === 'number'))

const isMessage = (one: unknown) => typeof one === 'object' && one !== null && typeof (one as Message).role === 'string'
export const messages = kind<readonly Message[]>(
  'a list of messages, each with role and content',
  (v) => Array.isArray(v) && v.every(isMessage),
)
export const day: Check<Date> = instance(Date, 'a Date')
const list = kind<readonly unknown[]>('a list', Array.isArray)

export const OPTIONS: Checks<TokenizerOptions> = { modelType: text, eosToken: filled, chatTemplate: text }
export const ENCODE: Checks<{ addSpecialTokens?: boolean; where?: string }> = { addSpecialTokens: flag, where: text }
export const DECODE: Checks<{ skipSpecialTokens?: boolean }> = { skipSpecialTokens: flag }
export const CHAT: Checks<ChatOptions & { tokenize?: boolean }> = {
  tokenize: flag,
  addGenerationPrompt: flag,
  tools: orNull(list),
  documents: orNull(list),
  variables: mapping,
  now: day,
  training: flag,
  unlearned: kind<readonly number[]>('a list of numbers of messages', (v) => Array.isArray(v) && v.every((one) => Number.isInteger(one))),
  where: text,
}

/** @throws SaqrError TEXT_TOKENIZER_INVALID */
export function checkFiles(files: unknown): asserts files is TokenizerFiles {
  const isObject = (value: unknown) => typeof value === 'object' && value !== null
  if (isObject(files)) {
    const { tokenizerJson, tokenizerConfig } = files as TokenizerFiles
    if (isObject(tokenizerJson) && isObject(tokenizerConfig)) return
  }
  throw new SaqrError(
    'TEXT_TOKENIZER_INVALID',
    `a tokenizer is made of { tokenizerJson, tokenizerConfig }, the contents of tokenizer.json and tokenizer_config.json, not of ${shown(files)}`,
  )
}

/** The files as they are saved: with what was chosen instead of theirs. */
export function changed(files: TokenizerFiles, { eosToken, chatTemplate }: TokenizerOptions): TokenizerFiles {
  const made = { ...files }
  if (eosToken !== undefined) made.tokenizerConfig = { ...files.tokenizerConfig, eos_token: eosToken }
  if (chatTemplate !== undefined) Object.assign(made, { chatTemplate, chatTemplates: {} })
  return made
}
