/** Text that goes on from a prompt, token by token. */

import { promptIds } from '../data/prompt-form.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { checkIds } from '../engine/vocabulary.ts'
import { SaqrError } from '../error.ts'
import type { Message } from '../text/chat-template.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { DecodeLoop, type Text } from './decode-loop.ts'
import { type Choice, type SampleOptions, Sampler, type TokenLogprob } from './sample.ts'
import { StopStrings, stopsAsTokens } from './stop-strings.ts'

/** answers that go on side by side */
const AT_ONCE = 32

/** a text, messages, or token ids */
export type Prompt = string | readonly Message[] | readonly number[]

/** How an answer is made: how tokens are drawn, and where it ends. */
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
  /** false: the base answers, without the adapter over it */
  adapter?: boolean
  /** accepted: generation always keeps keys and values */
  useCache?: boolean
}

/** A prompt as tokens, and how its answer is made. */
export interface Question {
  prompt: readonly number[]
  sampler: Sampler
  /** tokens that end the text */
  stop: ReadonlySet<number>
  maxNewTokens: number
}

/** A token of the answer to question `index`, or, where there is no token, its end. */
export type Step = { index: number; choice: Choice; ending: null } | { index: number; choice: null; ending: Ending }

/**
 * The answers to several questions, which go on side by side and end each by itself; as many at once as fit into memory.
 * @param ended numbers of questions whose answers end with their last token (a stop string was met): looked at after each
 * @param keep what was read stays in the loop for texts that begin alike
 * @throws SaqrError TEXT_TOO_LONG, TEXT_EMPTY, MODEL_VOCABULARY, MODEL_NOT_FINITE, MEMORY_REFUSED
 */
export async function* generateTokens(
  model: LanguageModel,
  loop: DecodeLoop,
  questions: readonly Question[],
  { signal, keep = false, ended = new Set() }: { signal?: AbortSignal; keep?: boolean; ended?: Set<number> } = {},
): AsyncGenerator<Step, void> {
  model.alive()
  const { maxPositions } = model.opened.model
  for (const [i, { prompt }] of questions.entries()) checkPrompt(model, prompt, questions.length === 1 ? 'the prompt' : `prompt ${i}`)
  const lengthOf = ({ prompt, maxNewTokens }: Question) => Math.min(prompt.length + maxNewTokens, maxPositions)
  // refused before the first is read, not in the middle
  for (const question of questions) loop.fits(lengthOf(question))
  const active: { index: number; text: Text; made: number; next: number }[] = []
  try {
    for (let waiting = 0; waiting < questions.length || active.length > 0; ) {
      for (; waiting < questions.length && active.length < AT_ONCE; waiting++) {
        const question = questions[waiting]!
        if (active.length > 0 && !loop.fits(lengthOf(question))) break
        const text = loop.begin(question.prompt, lengthOf(question), question.sampler.plain)
        active.push({ index: waiting, text, made: 0, next: 0 })
      }
      while (active.some(({ text }) => !text.whole)) await loop.read(active.map(({ text }) => text), signal) // biome-ignore format: a line
      for (const one of [...active]) {
        const { index, text } = one
        const { sampler, stop, prompt, maxNewTokens } = questions[index]!
        const end = (ending: Ending): Step => {
          loop.remove(text, keep)
          active.splice(active.indexOf(one), 1)
          return { index, choice: null, ending }
        }
        const choice = sampler.after(text)
        if (stop.has(choice.id)) {
          yield end('end')
          continue
        }
        yield { index, choice, ending: null }
        one.made++
        one.next = choice.id
        if (ended.has(index)) yield end('stop')
        else if (one.made === maxNewTokens) yield end('length')
        else if (prompt.length + one.made === maxPositions) yield end('positions')
      }
      model.alive()
      await loop.step(
        active.map(({ text, next }) => [text, next] as const),
        signal,
      )
    }
  } finally {
    for (const { text } of active) loop.remove(text, keep)
  }
}

/** @throws SaqrError TEXT_TOO_LONG, TEXT_EMPTY, MODEL_VOCABULARY */
export function checkPrompt(model: LanguageModel, prompt: readonly number[], which: string): void {
  const { maxPositions, vocab } = model.opened.model
  if (prompt.length === 0) throw new SaqrError('TEXT_EMPTY', `${which} has no token: give it at least one character`)
  if (prompt.length >= maxPositions)
    throw new SaqrError('TEXT_TOO_LONG', `${which} has ${prompt.length} tokens; the model knows ${maxPositions} positions`)
  checkIds(prompt, vocab, which)
}

/** A part of an answer: a token and the text that it completes (empty while a character or a stop string may go on), or the answer's end. */
export interface AnswerPiece {
  /** of the prompt that it answers, from 0 */
  index: number
  /** the text that is complete with this piece */
  text: string
  /** null: what was held back until the end */
  token: Token | null
  /** why the answer ended, with its last piece */
  ending: Ending | null
}

/** A token of an answer. */
export interface Token extends TokenLogprob {
  /** the likeliest tokens in its place, where they were asked for */
  topLogprobs: readonly TokenLogprob[]
}

/** Prompts' answers as text, side by side; special tokens are left out, and nothing comes from a stop string on. */
export async function* generateAnswers(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  { chat = null, system = null, tools = null, stopStrings = [], ...o }: GenerateOptions & AskOptions = {},
  loop?: DecodeLoop,
): AsyncGenerator<AnswerPiece, void> {
  const ask = { chat, system, tools }
  const stop = new Set([...stopTokens(model, tokenizer), ...stopsAsTokens(tokenizer, stopStrings)])
  const questions = prompts.map((given, index): Question => {
    const prompt = promptIds(tokenizer, given, ask, model.promptForm)
    return { prompt, sampler: new Sampler(prompt, o, index), stop, maxNewTokens: o.maxNewTokens ?? 256 }
  })
  const texts = questions.map(() => ({ stream: tokenizer.stream({ skipSpecialTokens: true }), stops: new StopStrings(stopStrings) }))
  const ended = new Set<number>()
  const own = loop ?? new DecodeLoop(model)
  try {
    for await (const { index, choice, ending } of generateTokens(model, own, questions, {
      signal: o.signal,
      keep: loop !== undefined,
      ended,
    })) {
      const { stream, stops } = texts[index]!
      const { text, stopped } = stops.push(choice ? stream.push(choice.id) : ended.has(index) ? '' : stream.end())
      if (stopped) ended.add(index)
      const token = choice && { id: choice.id, logprob: choice.logprob, topLogprobs: choice.top }
      yield ending ? { index, text: text + stops.end(), token, ending: ended.has(index) ? 'stop' : ending } : { index, text, token, ending }
    }
  } finally {
    if (!loop) own.dispose()
  }
}

/** One prompt's answer as text. */
export async function* generate(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerateOptions & AskOptions = {},
  loop?: DecodeLoop,
): AsyncGenerator<string, Ending> {
  let why: Ending = 'end'
  for await (const { text, ending } of generateAnswers(model, tokenizer, [prompt], options, loop)) {
    if (text) yield text
    if (ending) why = ending
  }
  return why
}

/** the tokenizer's end of text, and what generation_config.json and config.json name beside it */
export function stopTokens({ opened }: LanguageModel, tokenizer: Tokenizer): Set<number> {
  const { generationConfig, config } = opened.checkpoint
  const named = [generationConfig?.eos_token_id, config.eos_token_id].flat().filter((id): id is number => typeof id === 'number')
  return new Set(tokenizer.eosId === null ? named : [...named, tokenizer.eosId])
}
