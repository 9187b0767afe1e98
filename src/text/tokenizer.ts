/**
 * Text to token ids and back, as the checkpoint's own tokenizer does it. Definition.ts says what runs and refuses
 * what would not be reproduced.
 */
import { hash } from 'node:crypto'
import { option, SaqrError, say } from '../error.ts'
import { rulesOf, tablesOf } from '../formats/bpe-model.ts'
import type { TokenizerFiles as WrittenFiles } from '../formats/tensor.ts'
import { writeTokenizer } from '../formats/tokenizer-files.ts'
import { filled, take, takeOptions, text } from '../hub/arguments.ts'
import { ensureWritableFolder } from '../hub/files.ts'
import { anyNumber, CHAT, changed, checkFiles, DECODE, day, ENCODE, messages, OPTIONS, tokenIds } from './arguments.ts'
import { assistantMask, learnedSpans } from './assistant-mask.ts'
import { type ChatOptions, ChatTemplate, type Message, type Rendered, rowError } from './chat-template.ts'
import type { AddedToken, Json, SpecialName, SpecialTokens, TokenizerFiles } from './definition.ts'
import {
  ADD,
  type Extended,
  SPECIAL,
  type SpecialTokensToAdd,
  type TokenToAdd,
  tokensToAdd,
  withSpecialTokens,
  withTokens,
} from './extend.ts'
import { type Made, make } from './made.ts'
import { trainingTemplate } from './stock/training.ts'
import { TextStream } from './text-stream.ts'

/** Options of a Tokenizer. */
export interface TokenizerOptions {
  /** `model_type` of config.json: decides for some checkpoints which rules hold */
  modelType?: string
  /** the token that ends a text, instead of the checkpoint's; it must be in the vocabulary */
  eosToken?: string
  /** Jinja source, instead of the checkpoint's */
  chatTemplate?: string
}

export type { ChatOptions, Message } from './chat-template.ts'
export type { SpecialTokensToAdd, TokenToAdd } from './extend.ts'

/** Messages as the chat template writes them. */
export interface Chat {
  /** the text */
  text: string
  /** its tokens */
  ids: number[]
  /** whether the text holds anything of a field of a message */
  holds: Rendered['holds']
}

/** A tokenizer as Hugging Face’s library has it, and the chat template beside it. */
export class Tokenizer {
  /** texts of bos_token, eos_token … as far as the checkpoint has them */
  special: Readonly<SpecialTokens>
  /** Jinja source of the chat template that `default` names; null: the checkpoint has none */
  readonly chatTemplate: string | null
  readonly #modelType: string | undefined
  #made: Made
  #extended = false
  readonly #templates: ReadonlyMap<string, string>
  readonly #compiled = new Map<string, ChatTemplate>()
  /** of what it was made of; tokens that are added make it anew */
  #digest: { of: Made; sha256: string } | undefined

  /** @throws SaqrError TEXT_TOKENIZER_INVALID, TEXT_TOKENIZER_UNSUPPORTED, TEXT_UNKNOWN_TOKEN */
  constructor(files: TokenizerFiles, options: TokenizerOptions = {}) {
    const { modelType, eosToken, chatTemplate } = takeOptions<TokenizerOptions>(options, 'Tokenizer', OPTIONS)
    checkFiles(files)
    this.#modelType = modelType
    this.#made = make(files, modelType)
    const { special } = this.#made.definition
    this.special = eosToken === undefined ? special : { ...special, eos_token: eosToken }
    this.#templates = templatesOf(files, chatTemplate)
    this.chatTemplate = this.#templates.get('default') ?? null
    this.#made.files = changed(files, { eosToken, chatTemplate })
    if (eosToken !== undefined && this.idOf(eosToken) === undefined) {
      throw new SaqrError(
        'TEXT_UNKNOWN_TOKEN',
        say`${option('eosToken')} ${JSON.stringify(eosToken)} is not in the vocabulary of this tokenizer. Give one of its tokens.`,
      )
    }
  }

  /** tokens, the added ones too */
  get size(): number {
    return this.#made.size
  }

  /** every id is below it: a model's embedding needs so many rows */
  get idLimit(): number {
    return this.#made.idLimit
  }

  /** the tokens that stand beside the vocabulary of the model: special ones, and those that were added */
  get addedTokens(): readonly AddedToken[] {
    return this.#made.definition.json.added_tokens
  }

  /**
   * Adds tokens as transformers' `add_tokens`: ids go on behind the highest there is; one that the vocabulary has keeps its id and is from now on
   * found before a text is cut. A model's embedding needs a row for each: `await model.resizeTokenEmbeddings(tokenizer.idLimit)`.
   * @param tokens texts, or `{ content, lstrip, rstrip, normalized, singleWord }`; `special`: left out where special tokens are skipped
   * @returns how many were added or took other flags
   * @throws SaqrError OPTION_INVALID
   */
  addTokens(tokens: string | TokenToAdd | readonly (string | TokenToAdd)[], options?: { special?: boolean }): number {
    const { special } = takeOptions(options, 'addTokens', ADD, { specialTokens: 'special' })
    return this.#extend(withTokens(this.#made.files, this.#made.definition, tokensToAdd(tokens), special))
  }

  /**
   * Adds and names special tokens as transformers' `add_special_tokens`: `{ padToken: '<pad>', extraSpecialTokens: ['<a>', '<b>'] }`.
   * @returns how many were added or took other flags
   * @throws SaqrError OPTION_INVALID
   */
  addSpecialTokens(tokens: SpecialTokensToAdd): number {
    const taken = takeOptions<SpecialTokensToAdd>(tokens, 'addSpecialTokens', SPECIAL, { additionalSpecialTokens: 'extraSpecialTokens' })
    const added = this.#extend(withSpecialTokens(this.#made.files, this.#made.definition, taken))
    this.special = { ...this.special, ...this.#made.definition.special }
    return added
  }

  /** were tokens added since it was read? */
  get extended(): boolean {
    return this.#extended
  }

  #extend({ files, count }: Extended): number {
    this.#made = make(files, this.#modelType)
    this.#extended = true
    return count
  }

  /** id of the token that begins a text; null: it has none */
  get bosId(): number | null {
    return this.#specialId('bos_token')
  }

  /** id of the token that ends a text; null: it has none */
  get eosId(): number | null {
    return this.#specialId('eos_token')
  }

  /** id of the token that fills up rows elsewhere (nothing is padded here); null: it has none */
  get padId(): number | null {
    return this.#specialId('pad_token')
  }

  /** id of the token for what the vocabulary doesn’t have; null: it has none */
  get unkId(): number | null {
    return this.#specialId('unk_token')
  }

  /** the token that begins a text, as it is written; null: the checkpoint has none */
  get bosToken(): string | null {
    return this.special.bos_token ?? null
  }

  /** the token that ends a text, as it is written; null: the checkpoint has none */
  get eosToken(): string | null {
    return this.special.eos_token ?? null
  }

  set eosToken(token: string | null) {
    throw new SaqrError(
      'OPTION_INVALID',
      say`the token that ends a text is chosen when a model is opened: fromPretrained(…, { ${option('eosToken')}: ${JSON.stringify(token) ?? 'null'} })`,
    )
  }

  /** the token that pads a text, as it is written; null: the checkpoint has none. Nothing is padded here */
  get padToken(): string | null {
    return this.special.pad_token ?? null
  }

  /** Notebooks set it, to be able to pad; it must be in the vocabulary. */
  set padToken(token: string | null) {
    const { pad_token: _, ...others } = this.special
    if (token !== null && this.idOf(take(token, 'padToken', text)) === undefined)
      throw new SaqrError(
        'TEXT_UNKNOWN_TOKEN',
        `padToken ${JSON.stringify(token)} is not in the vocabulary of this tokenizer. Give one of its tokens.`,
      )
    this.special = token === null ? others : { ...others, pad_token: token }
  }

  /** the token of what is not in the vocabulary, as it is written; null: the checkpoint has none */
  get unkToken(): string | null {
    return this.special.unk_token ?? null
  }

  /** the same as bosId, as transformers calls it */
  get bosTokenId(): number | null {
    return this.bosId
  }

  /** the same as eosId, as transformers calls it */
  get eosTokenId(): number | null {
    return this.eosId
  }

  /** the same as padId, as transformers calls it */
  get padTokenId(): number | null {
    return this.padId
  }

  /** The id of a token by its text; undefined: it is none. */
  idOf(token: string): number | undefined {
    return this.#made.encoder.idOf(take(token, 'token', text))
  }

  /** the token as the vocabulary writes it: bytes as characters, or ▁ for a space */
  tokenOf(id: number): string | undefined {
    return this.#made.encoder.tokenOf(take(id, 'id', anyNumber))
  }

  /**
   * The tokens of a text. `addSpecialTokens`: with what the checkpoint puts around it (BOS for many); default true.
   * @throws SaqrError TEXT_NOT_UNICODE; TEXT_TOKENIZER_UNSUPPORTED where merges make no token, which the first text tells
   */
  encode(given: string, options?: { addSpecialTokens?: boolean; where?: string }): number[] {
    const { addSpecialTokens = true, where } = takeOptions(options, 'encode', ENCODE)
    requireUnicode(take(given, 'text', text), where)
    return this.#made.encoder.encode(given, addSpecialTokens)
  }

  /** Bytes that are not UTF-8 become U+FFFD. */
  decode(ids: readonly number[] | Int32Array, options?: { skipSpecialTokens?: boolean }): string {
    const { skipSpecialTokens = false } = takeOptions(options, 'decode', DECODE)
    const kept = take(ids, 'ids', tokenIds).filter((id) => !skipSpecialTokens || !this.#made.skipped.has(id))
    const tokens = kept.map((id) => this.#made.encoder.tokenOf(id))
    return this.#made.decode(tokens.filter((token) => token !== undefined))
  }

  /** Text of a growing row of ids, piece by piece. */
  stream(options?: { skipSpecialTokens?: boolean }): TextStream {
    const taken = takeOptions(options, 'stream', DECODE)
    return new TextStream((ids) => this.decode(ids, taken))
  }

  /**
   * The chat template names the role in its source.
   * @throws SaqrError TEXT_NO_TEMPLATE, TEXT_TEMPLATE_INVALID
   */
  namesRole(role: string, options?: ChatOptions): boolean {
    take(role, 'role', text)
    return this.#template(takeOptions(options, 'namesRole', CHAT)).names(role)
  }

  /**
   * Messages as the checkpoint's chat template writes them. `tokenize: false` gives the text alone, `tokenize: true` the token ids, left out both.
   * @throws SaqrError TEXT_NO_TEMPLATE, TEXT_TEMPLATE_INVALID, TEXT_TEMPLATE_ROW
   */
  applyChatTemplate(messages: readonly Message[], options: ChatOptions & { tokenize: false }): string
  applyChatTemplate(messages: readonly Message[], options: ChatOptions & { tokenize: true }): number[]
  applyChatTemplate(messages: readonly Message[], options?: ChatOptions): Chat
  applyChatTemplate(given: readonly Message[], options?: ChatOptions & { tokenize?: boolean }): Chat | string | number[] {
    const { tokenize, ...o } = takeOptions(options, 'applyChatTemplate', CHAT)
    const { text, holds } = this.#template(o).render(take(given, 'messages', messages), this.#variables, o)
    if (tokenize === false) return text
    const ids = this.encode(text, { addSpecialTokens: false, where: o.where })
    return tokenize ? ids : { text, holds, ids }
  }

  /**
   * Says whether two tokenizers make the same ids of the same rows, where templates are told that it is `now`.
   * @internal
   */
  fingerprint(now: Date): string {
    const templates = [...this.#templates]
    if (this.#digest?.of !== this.#made) {
      const { json, named, byteLevel } = this.#made.definition
      const { vocabulary, merges } = tablesOf(json.model)
      const tokens = [vocabulary.digest, merges.texts.digest]
      const rest = { ...json, model: rulesOf(json.model) }
      this.#digest = { of: this.#made, sha256: hash('sha256', JSON.stringify([tokens, rest, named, byteLevel, templates])) }
    }
    const days = templates.map(([, source]) => dayOf(source, take(now, 'now', day)))
    return JSON.stringify([this.#digest.sha256, this.special, days])
  }

  /**
   * What another one is made of that makes the same ids: `new Tokenizer(files, { modelType })`, its `special` then set.
   * @internal
   */
  get recipe(): { files: TokenizerFiles; modelType: string | undefined; special: Readonly<SpecialTokens> } {
    return { files: this.#made.files, modelType: this.#modelType, special: this.special }
  }

  /** what it was made of, as `savePretrained` writes it */
  get files(): WrittenFiles {
    return this.#made.files as WrittenFiles
  }

  /** Writes tokenizer.json, tokenizer_config.json and the chat template, as transformers reads them. @throws SaqrError FORMAT_… */
  async savePretrained(folder: string): Promise<void> {
    ensureWritableFolder(take(folder, 'folder', filled))
    writeTokenizer(folder, this.files)
  }

  /**
   * The same, and which tokens the template's `{% generation %}` blocks wrote (1) and which not (0).
   * @throws SaqrError TEXT_NO_GENERATION_MARKS; TEXT_NO_OFFSETS where tokens can't be found again in the text
   */
  applyChatTemplateWithMask(given: readonly Message[], chat?: ChatOptions): Chat & { mask: Uint8Array } {
    const options = takeOptions(chat, 'applyChatTemplateWithMask', CHAT)
    const template = this.#template({ ...options, training: true })
    if (!template.marksGeneration) {
      throw new SaqrError(
        'TEXT_NO_GENERATION_MARKS',
        say`The chat template does not say what the assistant wrote, and is none of those for which it is known, so ${option('assistantOnlyLoss')} has no targets. Give a template with {% generation %} … {% endgeneration %} around it (${option('chatTemplate')}), or set ${option('assistantOnlyLoss')} to false.`,
      )
    }
    const { text, spans, writers, holds } = template.render(take(given, 'messages', messages), this.#variables, options)
    if (!spans)
      throw rowError(
        options.where,
        'what the assistant wrote can not be told exactly, as the template changes the text of its {% generation %} blocks',
      )
    const learned = learnedSpans(spans, writers, options)
    requireUnicode(text, options.where)
    const pieces = this.#made.encoder.pieces(text)
    const spelled = pieces.map((piece) => ({ ...piece, tokens: piece.ids.map((id) => this.#made.encoder.tokenOf(id)!) }))
    const ids = pieces.flatMap((piece) => piece.ids)
    return { text, ids, holds, mask: assistantMask(text, learned, spelled, this.#made.definition, options.where) }
  }

  /** tokens that a template may name */
  get #variables(): Record<string, string> {
    return { ...this.#made.definition.named, ...this.special }
  }

  #template({ tools, where, training }: ChatOptions): ChatTemplate {
    const name = tools && this.#templates.has('tool_use') ? 'tool_use' : 'default'
    const source = this.#templates.get(name)
    if (source === undefined) {
      const named = this.#templates.size > 0 ? ` named default (only ${[...this.#templates.keys()].join(', ')})` : ''
      throw new SaqrError(
        'TEXT_NO_TEMPLATE',
        say`${where ? `${where}: ` : ''}this tokenizer has no chat template${named}, so messages can't become text. Give one (${option('chatTemplate')}), or use rows of text or prompt and completion.`,
      )
    }
    const template = this.#compile(source)
    if (!training || template.marksGeneration) return template
    // as in TRL, the template named default is the one that is known, and takes the place of all
    const marked = trainingTemplate(this.#templates.get('default') ?? source)
    return marked === undefined ? template : this.#compile(marked)
  }

  #compile(source: string): ChatTemplate {
    const known = this.#compiled.get(source) ?? new ChatTemplate(source)
    this.#compiled.set(source, known)
    return known
  }

  #specialId(name: SpecialName): number | null {
    const token = this.special[name]
    return (token === undefined ? undefined : this.idOf(token)) ?? null
  }
}

/** What a template's text has of the time: nothing, the day, or more. */
function dayOf(template: string, now: Date): string | number {
  const uses = template.split('strftime_now').length - 1
  const formats = [...template.matchAll(/strftime_now\(\s*(["'])((?:%[-\w]|[^%"'\\])*)\1\s*\)/g)].map(([, , format]) => format!)
  const isDay = (format: string) => (format.match(/%-?\w/g) ?? []).every((directive) => /%-?[aAbBdeFjmuwyYhC]/.test(directive))
  return uses === 0 ? '' : formats.length === uses && formats.every(isDay) ? now.toDateString() : now.getTime()
}

/** @throws SaqrError TEXT_NOT_UNICODE */
export function requireUnicode(text: string, where = 'The text'): void {
  if (/\p{Surrogate}/u.test(text))
    throw new SaqrError('TEXT_NOT_UNICODE', `${where} holds half of a surrogate pair, which is no character. Repair or remove it.`)
}

/** `chat_template` is one source, or several with names. */
function templatesOf(files: TokenizerFiles, override: string | undefined): Map<string, string> {
  const given = override ?? files.chatTemplate ?? (files.tokenizerConfig as Json).chat_template
  const more = Object.entries(override === undefined ? (files.chatTemplates ?? {}) : {})
  if (given === undefined || given === null) return new Map(more)
  if (typeof given === 'string') return new Map([['default', given], ...more])
  if (Array.isArray(given)) return new Map((given as { name: string; template: string }[]).map((t) => [t.name, t.template]))
  return new Map(Object.entries(given as Record<string, string>))
}
