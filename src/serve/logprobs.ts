/** How likely tokens were, as OpenAI's API writes it. */
import type { Choice, TokenLogprob } from '../generate/sample.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

const UNKNOWN = '\uFFFD'
/** of a token that the model held impossible: JSON has no infinity, and OpenAI's API writes this */
const LEAST = -9999

/** A token's text as it stands within a text, where some decoders write it otherwise than at the beginning. */
export function textOfToken(tokenizer: Tokenizer, id: number): string {
  return tokenizer.decode([id, id]).slice(tokenizer.decode([id]).length)
}

const finite = (logprob: number) => (Number.isFinite(logprob) ? logprob : LEAST)

export function chatLogprob(tokenizer: Tokenizer, { top, ...choice }: Choice) {
  const rated = ({ id, logprob }: TokenLogprob) => {
    const token = textOfToken(tokenizer, id)
    // a part of a character has no text
    return { token, logprob: finite(logprob), bytes: token.includes(UNKNOWN) ? null : [...Buffer.from(token)] }
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
  // of several tokens that are no whole character the likeliest stands for all
  for (const one of top) likely[textOfToken(tokenizer, one.id)] ??= finite(one.logprob)
  return {
    tokens: [textOfToken(tokenizer, id)],
    token_logprobs: [finite(logprob)],
    top_logprobs: [likely],
    text_offset: [offset],
  }
}
