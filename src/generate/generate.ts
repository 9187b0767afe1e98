/** Text that goes on from a prompt, token by token. */

import { promptIds } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { checkIds } from '../engine/vocabulary.ts'
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { Decoder } from './decoder.ts'
import { type Choice, type SampleOptions, Sampler } from './sample.ts'
import { StopStrings } from './stop-strings.ts'

export interface GenerateOptions extends SampleOptions {
  /** at the most, within the positions that the model knows; default 256 */
  maxNewTokens?: number
  /** the text ends before the first of these, wherever tokens end */
  stopStrings?: readonly string[]
  /** ends the text where it is */
  signal?: AbortSignal
}

/** Why a text ended: the model ended it, a stop string came, it has maxNewTokens, or there is no position left for more. */
export type Ending = 'end' | 'stop' | 'length' | 'positions'

/** How a text or messages become the prompt. */
export interface AskOptions {
  /**
   * true: the prompt goes into the chat template as a user's message; false: it is taken as it is. Default: as the rows asked that the
   * model was trained on, else the template where there is one
   */
  chat?: boolean | null
  /** system message before the prompt, where it goes into the chat template */
  system?: string | null
  /** JSON schemas of functions the model may call, for the chat template */
  tools?: readonly unknown[] | null
  /** false: always the likeliest token; true: tokens are drawn, at temperature 1 unless it is given. Default: as the temperature says */
  doSample?: boolean
  /** accepted: generation always keeps keys and values */
  useCache?: boolean
}

/** Tokens that follow the prompt's, up to one that ends the text; returns why it ended. Errors: TEXT_TOO_LONG, TEXT_EMPTY, MODEL_VOCABULARY, MODEL_NOT_FINITE. */
export async function* generateTokens(
  model: LanguageModel,
  prompt: readonly number[],
  stop: ReadonlySet<number>,
  options: GenerateOptions = {},
): AsyncGenerator<Choice, Ending> {
  model.alive()
  const { maxNewTokens = 256, signal } = options
  const { maxPositions } = model.opened.model
  if (prompt.length === 0) throw new SaqrError('TEXT_EMPTY', 'the prompt has no token: give it at least one character')
  if (prompt.length >= maxPositions) {
    throw new SaqrError('TEXT_TOO_LONG', `the prompt has ${prompt.length} tokens; the model knows ${maxPositions} positions`)
  }
  checkIds(prompt, model.opened.model.vocab, 'the prompt')
  const sampler = new Sampler(prompt, options)
  const most = Math.min(maxNewTokens, maxPositions - prompt.length)
  const decoder = new Decoder(model, prompt.length + most)
  try {
    let logits = await decoder.read(prompt, signal)
    for (let n = 0; n < most; n++) {
      const choice = sampler.next(logits)
      if (stop.has(choice.id)) return 'end'
      yield choice
      model.alive()
      if (n + 1 < most) logits = await decoder.read([choice.id], signal)
    }
    return most < maxNewTokens ? 'positions' : 'length'
  } finally {
    decoder.dispose()
  }
}

/** A part of an answer: the text that a token completes (empty while a character or a stop string may go on), and the token. */
export interface Piece {
  text: string
  /** null: text held back until the end */
  choice: Choice | null
}

/** The same as text; special tokens are left out, and nothing comes from a stop string on. */
export async function* generatePieces(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: string | readonly Message[] | readonly number[],
  { chat = null, system = null, tools = null, ...options }: GenerateOptions & AskOptions = {},
): AsyncGenerator<Piece, Ending> {
  const ids = promptIds(tokenizer, prompt, { chat, system, tools }, model.promptForm)
  const stream = tokenizer.stream({ skipSpecialTokens: true })
  const stops = new StopStrings(options.stopStrings ?? [])
  const drawn = generateTokens(model, ids, stopTokens(model, tokenizer), options)
  try {
    let next = await drawn.next()
    for (; !next.done; next = await drawn.next()) {
      const { text, stopped } = stops.push(stream.push(next.value.id))
      yield { text, choice: next.value }
      if (stopped) return 'stop'
    }
    const { text, stopped } = stops.push(stream.end())
    const rest = text + stops.end()
    if (rest) yield { text: rest, choice: null }
    return stopped ? 'stop' : next.value
  } finally {
    await drawn.return('end')
  }
}

/** The pieces' text. */
export async function* generate(...asked: Parameters<typeof generatePieces>): AsyncGenerator<string, Ending> {
  const pieces = generatePieces(...asked)
  try {
    let next = await pieces.next()
    for (; !next.done; next = await pieces.next()) if (next.value.text) yield next.value.text
    return next.value
  } finally {
    await pieces.return('end')
  }
}

/** the tokenizer's end of text, and what generation_config.json and config.json name beside it */
export function stopTokens({ opened }: LanguageModel, tokenizer: Tokenizer): Set<number> {
  const { generationConfig, config } = opened.checkpoint
  const named = [generationConfig?.eos_token_id, config.eos_token_id].flat().filter((id): id is number => typeof id === 'number')
  return new Set(tokenizer.eosId === null ? named : [...named, tokenizer.eosId])
}
