/** Text that goes on from a prompt, token by token. */

import { promptIds } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { SeededRandom } from '../engine/random.ts'
import { checkIds } from '../engine/vocabulary.ts'
import { option, SaqrError, say } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { Decoder } from './decoder.ts'
import { type SampleOptions, sample } from './sample.ts'

export interface GenerateOptions extends SampleOptions {
  /** at the most, within the positions that the model knows; default 256 */
  maxNewTokens?: number
  /** of the draws; default 0 */
  seed?: number
  /** ends the text where it is */
  signal?: AbortSignal
}

/** Why a text ended: the model ended it, it has maxNewTokens, or there is no position left for more. */
export type Ending = 'end' | 'length' | 'positions'

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

/** Token ids that follow the prompt's, up to one that ends the text; returns why it ended. Errors: TEXT_TOO_LONG, TEXT_EMPTY, MODEL_VOCABULARY, OPTION_INVALID. */
export async function* generateIds(
  model: LanguageModel,
  prompt: readonly number[],
  stop: ReadonlySet<number>,
  options: GenerateOptions = {},
): AsyncGenerator<number, Ending> {
  model.alive()
  const { maxNewTokens = 256, seed = 0, signal } = options
  const { maxPositions } = model.opened.model
  if (prompt.length === 0) throw new SaqrError('TEXT_EMPTY', 'the prompt has no token: give it at least one character')
  if (prompt.length >= maxPositions) {
    throw new SaqrError('TEXT_TOO_LONG', `the prompt has ${prompt.length} tokens; the model knows ${maxPositions} positions`)
  }
  checkIds(prompt, model.opened.model.vocab, 'the prompt')
  checkSampling(options)
  const random = new SeededRandom(seed, 'generate')
  const most = Math.min(maxNewTokens, maxPositions - prompt.length)
  const decoder = new Decoder(model, prompt.length + most)
  try {
    let logits = await decoder.read(prompt, signal)
    for (let n = 0; n < most; n++) {
      const id = sample(logits, random, options)
      if (stop.has(id)) return 'end'
      yield id
      model.alive()
      if (n + 1 < most) logits = await decoder.read([id], signal)
    }
    return most < maxNewTokens ? 'positions' : 'length'
  } finally {
    decoder.dispose()
  }
}

/** @throws SaqrError OPTION_INVALID */
function checkSampling({ temperature = 0, topK = 0, topP = 1 }: SampleOptions): void {
  const wrong = (name: string, value: number, expected: string) =>
    new SaqrError('OPTION_INVALID', say`${option(name)} is ${value}; expected ${expected}`)
  if (!(temperature >= 0 && temperature < Number.POSITIVE_INFINITY)) throw wrong('temperature', temperature, 'a number of at least 0')
  if (!(Number.isInteger(topK) && topK >= 0)) throw wrong('topK', topK, 'a whole number of at least 0 (0: all tokens)')
  if (!(topP > 0 && topP <= 1)) throw wrong('topP', topP, 'above 0 and at most 1')
}

/** The same as pieces of text; special tokens are left out. */
export async function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: string | readonly Message[] | readonly number[],
  { chat = null, system = null, tools = null, ...options }: GenerateOptions & AskOptions = {},
): AsyncGenerator<string, Ending> {
  const ids = promptIds(tokenizer, prompt, { chat, system, tools }, model.promptForm)
  const stream = tokenizer.stream({ skipSpecialTokens: true })
  const drawn = generateIds(model, ids, stopTokens(model, tokenizer), options)
  try {
    let next = await drawn.next()
    for (; !next.done; next = await drawn.next()) {
      const piece = stream.push(next.value)
      if (piece) yield piece
    }
    const rest = stream.end()
    if (rest) yield rest
    return next.value
  } finally {
    await drawn.return('end')
  }
}

/** the tokenizer's end of text, and what generation_config.json and config.json name beside it */
export function stopTokens({ opened }: LanguageModel, tokenizer: Tokenizer): Set<number> {
  const { generationConfig, config } = opened.checkpoint
  const named = [generationConfig?.eos_token_id, config.eos_token_id].flat().filter((id): id is number => typeof id === 'number')
  return new Set(tokenizer.eosId === null ? named : [...named, tokenizer.eosId])
}
