/**
 * Text to ids: added tokens are found first (added-tokens.ts), what lies between them goes through `@huggingface/tokenizers`'
 * normalizer and pre-tokenizer, which know nothing of added tokens, and is merged (bpe.ts); the post-processor's special tokens are put around. Where pieces are
 * spelled as bytes last, each is a few ids whatever stands beside it: those of pieces seen before are kept (piece-ids.ts).
 */
import { Tokenizer as Engine } from '@huggingface/tokenizers'
import { SaqrError } from '../error.ts'
import { type BpeTables, rulesOf, tablesOf } from '../formats/bpe-model.ts'
import { AddedTokens } from './added-tokens.ts'
import { Bpe } from './bpe.ts'
import type { Json, TokenizerJson } from './definition.ts'
import { PieceIds } from './piece-ids.ts'

/** stands for the text's tokens where the post-processor is asked what it puts around them */
const placeholder = '\uFDD0'

/** Tokens of a piece of the text. */
export interface Encoded {
  ids: number[]
  /** of an added token that stands in the text: as it stands there, normalized where it was found so, with the white space it takes */
  added?: string
  /** it stands at the beginning of what was normalized by itself */
  opens?: boolean
}

export class Encoder {
  readonly #engine: Engine
  readonly #model: Json
  /** made for the first text: rows that were prepared before need none */
  #bpe: Bpe | undefined
  readonly #added: AddedTokens
  /** of the vocabulary, hundreds of thousands: once is enough, so the engine, which merges nothing, has none */
  readonly #tables: BpeTables
  /** of added tokens alone */
  readonly #ids: ReadonlyMap<string, number>
  readonly #tokens: ReadonlyMap<number, string>
  readonly #around: { before: number[]; after: number[] }
  /** null: what a piece of text becomes depends on its neighbours */
  readonly #pieces: PieceIds | null

  /** @throws SaqrError TEXT_TOKENIZER_UNSUPPORTED; Error where the definition is none */
  constructor(json: TokenizerJson) {
    const { split, bytes } = apart(json.pre_tokenizer)
    // its merging is slow where a piece is long: what merges is ours
    this.#engine = new Engine(
      { ...json, model: { ...rulesOf(json.model), vocab: {}, merges: [] }, pre_tokenizer: split, added_tokens: [] },
      {},
    )
    this.#tables = tablesOf(json.model)
    this.#model = json.model
    this.#added = new AddedTokens(json.added_tokens, this.#engine.normalizer)
    this.#ids = new Map(json.added_tokens.map(({ content, id }) => [content, id]))
    this.#tokens = new Map(json.added_tokens.map(({ content, id }) => [id, content]))
    this.#around = this.#specialTokens()
    this.#pieces = bytes && new PieceIds(bytes.add_prefix_space === true, (spelled) => this.#idsOf([spelled]))
  }

  /** of an added token before one of the vocabulary */
  idOf(token: string): number | undefined {
    return this.#ids.get(token) ?? this.#tables.vocabulary.get(token)
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens.get(id) ?? this.#tables.vocabulary.tokenOf(id)
  }

  /** @throws SaqrError TEXT_TOKENIZER_UNSUPPORTED for a merge that makes no token, of the first text */
  encode(text: string, addSpecialTokens: boolean): number[] {
    const { before, after } = addSpecialTokens ? this.#around : NOTHING
    const ids = [...before]
    for (const piece of this.pieces(text)) for (const id of piece.ids) ids.push(id)
    for (const id of after) ids.push(id)
    return ids
  }

  /** What lies between added tokens, and they; without special tokens around. The model's own tokens may be added ones too. */
  pieces(text: string): Encoded[] {
    return this.#added
      .split(text)
      .map(({ token, text: piece, first, opens }) =>
        token ? { ids: [token.id], added: piece, opens } : { ids: this.#modelIds(piece, first), opens },
      )
  }

  #modelIds(text: string, first: boolean): number[] {
    const { pre_tokenizer: preTokenizer } = this.#engine
    // the engine takes section 0 for the beginning of the text; called as a function it flattens the list once more, which takes as long as all the rest
    const pieces = preTokenizer ? preTokenizer.pre_tokenize_text(text, { section_index: first ? 0 : 1 }) : [text]
    return this.#pieces ? this.#pieces.encode(pieces) : this.#idsOf(pieces)
  }

  #idsOf(pieces: readonly string[]): number[] {
    this.#bpe ??= new Bpe(this.#model, this.#tables)
    const ids: number[] = []
    for (const piece of pieces) this.#bpe.encode(piece, ids)
    return ids
  }

  #specialTokens(): { before: number[]; after: number[] } {
    const tokens = this.#engine.post_processor?.([placeholder], null, true).tokens ?? [placeholder]
    const at = tokens.indexOf(placeholder)
    if (at === -1 || tokens.lastIndexOf(placeholder) !== at)
      throw new SaqrError(
        'TEXT_TOKENIZER_UNSUPPORTED',
        "tokenizer.json's post-processor does not put the text's own tokens once among special ones. Use a checkpoint with another tokenizer.",
      )
    const ids = (part: string[]) => part.map((token) => this.idOf(token)).filter((id) => id !== undefined)
    return { before: ids(tokens.slice(0, at)), after: ids(tokens.slice(at + 1)) }
  }
}

const NOTHING = { before: [], after: [] }

/** The pre-tokenizer that splits, and the ByteLevel behind it that spells, without a pattern (supported.ts sees to that). */
function apart(pre: Json | null): { split: Json | null; bytes: Json | null } {
  const parts = flat(pre)
  const last = parts.at(-1)
  if (last?.type !== 'ByteLevel') return { split: pre, bytes: null }
  const before = parts.slice(0, -1)
  const split = before.length > 1 ? { type: 'Sequence', pretokenizers: before } : (before[0] ?? null)
  return { split, bytes: last }
}

const flat = (part: Json | null): Json[] =>
  part === null ? [] : part.type === 'Sequence' ? (part.pretokenizers as Json[]).flatMap(flat) : [part]
