/**
 * From spans of text to tokens. Tokens are found again in the text by their own bytes: written one after another they must give the text
 * exactly (a space that the tokenizer put before a piece of text apart), or the row is refused.
 * As in transformers, a span takes every token from the first that touches its first character to the first that touches its last one.
 */
import { option, SaqrError, say } from '../error.ts'
import { type ChatOptions, rowError, type Span } from './chat-template.ts'
import { byteFallback, bytesOfToken } from './decoder.ts'
import type { Definition, Json } from './definition.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** (tokens) 1 where the token belongs to a span */
export function assistantMask(
  text: string,
  spans: readonly Span[],
  tokens: readonly string[],
  definition: Definition,
  where?: string,
): Uint8Array {
  const surface = textOfTokens(text, spans, definition)
  const starts = surface && tokenStarts(surface.bytes, tokens, definition)
  if (!starts) {
    throw new SaqrError(
      'TEXT_NO_OFFSETS',
      say`${where ?? 'These messages'}: the tokenizer rewrites this text, so what the assistant wrote can't be told token by token. Set ${option('assistantOnlyLoss')} to false, or remove characters that are not in Unicode's composed form.`,
    )
  }
  const mask = new Uint8Array(tokens.length)
  for (const [start, end] of surface.spans) {
    if (start >= surface.bytes.length || end === 0) continue
    mask.fill(1, tokenAt(starts, start), tokenAt(starts, characterStart(surface.bytes, end - 1)) + 1)
  }
  return mask
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
  /** in bytes */
  spans: Span[]
}

/** The text after normalisation; undefined where that joins characters across a span's edge. */
function textOfTokens(text: string, spans: readonly Span[], { json, byteLevel }: Definition): Surface | undefined {
  const normalizers = [json.normalizer].flatMap((n) => (n?.type === 'Sequence' ? (n.normalizers as Json[]) : n ? [n] : []))
  const form = normalizers.map((n) => n.type as string).find((type) => type.startsWith('NF'))
  const spell = (s: string) => (byteLevel ? s : s.replaceAll('▁', ' '))
  const normalize = (s: string) => spell(form ? s.normalize(form) : s)
  const pieces: Uint8Array[] = []
  const moved: Span[] = []
  let at = 0
  let from = 0
  const take = (to: number) => {
    const piece = encoder.encode(normalize(text.slice(from, to)))
    pieces.push(piece)
    from = to
    return (at += piece.length)
  }
  for (const [start, end] of spans) moved.push([take(start), take(end)])
  take(text.length)
  const bytes = Buffer.concat(pieces)
  return bytes.equals(encoder.encode(normalize(text))) ? { bytes, spans: moved } : undefined
}

/** Byte where each token starts; undefined where the tokens do not spell `bytes`. */
function tokenStarts(bytes: Uint8Array, tokens: readonly string[], { json, byteLevel }: Definition): Int32Array | undefined {
  const added = new Map(json.added_tokens.map((t) => [t.content, t]))
  const starts = new Int32Array(tokens.length)
  let at = 0
  let fresh = true // a piece of text begins here: the tokenizer may have put a space before it
  for (const [i, token] of tokens.entries()) {
    const special = added.get(token)
    starts[i] = at // white space that a token takes with it is the token's
    if (special?.lstrip) while (spaceAt(bytes, at) > 0 && !matches(bytes, at, encoder.encode(token))) at += spaceAt(bytes, at)
    const spelled = special ? encoder.encode(token) : byteLevel ? bytesOfToken(token) : spelledOut(token)
    const skip = fresh && !special && spelled[0] === space && !matches(bytes, at, spelled) ? 1 : 0
    if (!matches(bytes, at, spelled.subarray(skip))) return undefined
    at += spelled.length - skip
    if (special?.rstrip) while (spaceAt(bytes, at) > 0) at += spaceAt(bytes, at)
    fresh = special !== undefined
  }
  return at === bytes.length ? starts : undefined
}

const space = 0x20

const whiteSpace = /^\p{White_Space}/u

/** Bytes of the white space character that begins at `at`; 0 where there is none. */
function spaceAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) return 0
  if (byte < 0x80) return byte === space || (byte >= 9 && byte <= 13) ? 1 : 0
  const length = byte >= 0xe0 ? 3 : 2
  return whiteSpace.test(decoder.decode(bytes.subarray(at, at + length))) ? length : 0
}

const matches = (bytes: Uint8Array, at: number, piece: Uint8Array) => piece.every((b, i) => bytes[at + i] === b)

/** The first token that holds the byte. A space put before a piece of text may be a token of its own: it belongs to the first character. */
function tokenAt(starts: Int32Array, byte: number): number {
  let token = starts.length - 1
  while (starts[token]! > byte) token--
  while (starts[token - 1] === starts[token]) token--
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
