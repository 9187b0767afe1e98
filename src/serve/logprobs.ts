/** How likely tokens were, as OpenAI's API writes it. */
import type { Choice, TokenLogprob } from '../generate/sample.ts'
import { byteFallback, bytesOfToken } from '../text/decoder.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

const UNKNOWN = '\uFFFD'
/** of a token that the model held impossible: JSON has no infinity, and OpenAI's API writes this */
const LEAST = -9999

/** A token's text as it stands within a text, where some decoders write it otherwise than at the beginning. */
export function textOfToken(tokenizer: Tokenizer, id: number): string {
  return tokenizer.decode([id, id]).slice(tokenizer.decode([id]).length)
}

/** A token's bytes, and how it is written where they are no whole characters: as OpenAI's API does, bytes beyond ASCII as \\xf0. */
function partOfText(tokenizer: Tokenizer, id: number): { text: string; bytes: number[]; whole: boolean } {
  const text = textOfToken(tokenizer, id)
  const written = tokenizer.tokenOf(id) ?? ''
  // U+FFFD that the vocabulary itself has is a character
  if (!text.includes(UNKNOWN) || written.includes(UNKNOWN)) return { text, bytes: [...Buffer.from(text)], whole: true }
  const byte = byteFallback(written)
  const bytes = byte === undefined ? [...bytesOfToken(written)] : [byte]
  const spelled = bytes.map((one) => (one < 0x80 ? String.fromCharCode(one) : `\\x${one.toString(16)}`)).join('')
  return { text: spelled, bytes, whole: false }
}

const finite = (logprob: number) => (Number.isFinite(logprob) ? logprob : LEAST)

export function chatLogprob(tokenizer: Tokenizer, { top, ...choice }: Choice) {
  const rated = ({ id, logprob }: TokenLogprob) => {
    // a client puts characters together again by their bytes
    const { text: token, bytes } = partOfText(tokenizer, id)
    return { token, logprob: finite(logprob), bytes }
  }
  return { ...rated(choice), top_logprobs: top.map(rated) }
}

export interface CompletionLogprobs {
  tokens: string[]
  token_logprobs: number[]
  top_logprobs: Record<string, number>[]
  text_offset: number[]
}

/** @param offset of the token in the answer's text, in characters */
export function completionLogprob(tokenizer: Tokenizer, { id, logprob, top }: Choice, offset: number): CompletionLogprobs {
  const likely: Record<string, number> = {}
  const name = (id: number) => {
    const { text, whole } = partOfText(tokenizer, id)
    return whole ? text : `bytes:${text}`
  }
  // of several tokens that are the same text the likeliest stands for all
  for (const one of top) likely[name(one.id)] ??= finite(one.logprob)
  return {
    tokens: [name(id)],
    token_logprobs: [finite(logprob)],
    top_logprobs: [likely],
    text_offset: [offset],
  }
}
