/**
 * From spans of text to tokens. Tokens are found again in the text by their own bytes: written one after another they must give the text
 * exactly (a space that the tokenizer put before a piece of text apart), or the row is refused.
 * As in transformers, a span takes every token from the first that touches its first character to the first that touches its last one.
 */
import { option, SaqrError, say } from '../error.ts'
import { type ChatOptions, rowError, type Span } from './chat-template.ts'
import { byteFallback, bytesOfToken } from './decoder.ts'
import type { Definition, Json } from './definition.ts'
import type { Encoded } from './encoder.ts'

const encoder = new TextEncoder()

/** (tokens) 1 where the token belongs to a span */
export function assistantMask(
  text: string,
  spans: readonly Span[],
  pieces: readonly Piece[],
  definition: Definition,
  where?: string,
): Uint8Array {
  const spell = spelling(definition)
  const surface = textOfTokens(text, spans, spell)
  const starts = surface && tokenStarts(surface.bytes, pieces, spell)
  if (!starts) {
    throw new SaqrError(
      'TEXT_NO_OFFSETS',
      say`${where ?? 'These messages'}: the tokenizer rewrites this text, so what the assistant wrote can't be told token by token. Set ${option('assistantOnlyLoss')} to false, or remove characters that are not in Unicode's composed form.`,
    )
  }
  const mask = new Uint8Array(starts.length)
  for (const [first, last] of surface.spans) mask.fill(1, tokenAt(starts, first), tokenAt(starts, last) + 1)
  return mask
}

/** A piece of the text, and its tokens as the vocabulary writes them. */
export interface Piece extends Encoded {
  tokens: readonly string[]
}

/** How the text and the tokens are written so that they can be told to be one. */
interface Spelling {
  text: (text: string) => string
  token: (token: string) => Uint8Array
  /** a space is put before every piece that is normalized by itself */
  prepends: boolean
}

/** Text is normalized to the tokenizer's form; ▁ is a space, in a text that has it too. */
function spelling({ json, byteLevel }: Definition): Spelling {
  const normalizers = [json.normalizer].flatMap((n) => (n?.type === 'Sequence' ? (n.normalizers as Json[]) : n ? [n] : []))
  const form = normalizers.map((n) => n.type as string).find((type) => type.startsWith('NF'))
  const spaced = (s: string) => (byteLevel ? s : s.replaceAll('▁', ' '))
  return {
    text: (s) => spaced(form ? s.normalize(form) : s),
    token: byteLevel ? bytesOfToken : spelledOut,
    prepends: normalizers.some((n) => n.type === 'Prepend'),
  }
}

/**
 * The spans that are to be learned.
 * @throws SaqrError TEXT_TEMPLATE_ROW: whose words a span holds is not known, or it holds several messages' that are not alike in this
 */
export function learnedSpans(
  spans: readonly Span[],
  writers: readonly (readonly number[])[],
  { unlearned = [], where }: ChatOptions,
): readonly Span[] {
  if (unlearned.length === 0) return spans
  return spans.filter(([start, end], i) => {
    const by = writers[i]!
    const count = by.filter((message) => unlearned.includes(message)).length
    if (start === end || (count > 0 && count === by.length)) return false
    if (count === 0 && by.length > 0) return true
    throw rowError(where, 'what it writes of a message that is not to be learned can not be told from the other messages')
  })
}

interface Surface {
  /** UTF-8 of the text as the tokens spell it */
  bytes: Uint8Array
  /** bytes where a span's first and its last character begin */
  spans: Span[]
}

/** The text after normalisation; undefined where that joins characters across a span's edge. */
function textOfTokens(text: string, spans: readonly Span[], spell: Spelling): Surface | undefined {
  const pieces: Uint8Array[] = []
  const moved: Span[] = []
  let at = 0
  const take = (part: string) => {
    const piece = encoder.encode(spell.text(part))
    pieces.push(piece)
    at += piece.length
    return piece
  }
  let from = 0
  for (const [start, end] of spans) {
    take(text.slice(from, start))
    from = end
    const first = at
    const written = text.slice(start, end)
    const before = encoder.encode(spell.text(written.replace(lastCharacter, '')))
    const piece = take(written)
    if (piece.length === 0) continue
    // a character may become several; where it is joined to the one before, they are one
    moved.push([
      first,
      before.length < piece.length && matches(piece, 0, before) ? first + before.length : characterStart(piece, piece.length - 1) + first,
    ])
  }
  take(text.slice(from))
  const bytes = Buffer.concat(pieces)
  return bytes.equals(encoder.encode(spell.text(text))) ? { bytes, spans: moved } : undefined
}

const lastCharacter = /.$/su

/** Byte where each token starts; undefined where the tokens do not spell `bytes`. */
function tokenStarts(bytes: Uint8Array, pieces: readonly Piece[], spell: Spelling): number[] | undefined {
  const starts: number[] = []
  let at = 0
  for (const { tokens, added, opens } of pieces) {
    const spelled = added === undefined ? tokens.map(spell.token) : [encoder.encode(spell.text(added))]
    const whole = Buffer.concat(spelled)
    // spaces before the text's own: the normalizer's, always; the pre-tokenizer's, where it puts one
    const before = spell.prepends ? (opens ? [1] : [0]) : added === undefined ? [0, 1] : [0]
    const skip = before.find((n) => (n === 0 || whole[0] === space) && matches(bytes, at, whole.subarray(n)))
    if (skip === undefined) return undefined
    let to = at - skip
    for (const token of spelled) {
      starts.push(Math.max(at, to))
      to += token.length
    }
    at = to
  }
  return at === bytes.length ? starts : undefined
}

const space = 0x20

const matches = (bytes: Uint8Array, at: number, piece: Uint8Array) => piece.every((b, i) => bytes[at + i] === b)

/** The first token that holds the byte. A space put before a piece of text may be a token of its own: it belongs to the first character. */
function tokenAt(starts: readonly number[], byte: number): number {
  let token = starts.length - 1
  while (starts[token]! > byte) token--
  if (starts[token] === byte) while (starts[token - 1] === byte) token--
  return token
}

function characterStart(bytes: Uint8Array, byte: number): number {
  let at = byte
  while ((bytes[at]! & 0xc0) === 0x80) at--
  return at
}

/** ▁ is a space, <0xE4> a byte */
function spelledOut(token: string): Uint8Array {
  const byte = byteFallback(token)
  return byte === undefined ? encoder.encode(token.replaceAll('▁', ' ')) : Uint8Array.of(byte)
}
