/** Parameters of a request, OpenAI's by their names: which there are, what each may be, and what those that can't be had are told. */
import { randomInt } from 'node:crypto'
import { SaqrError } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import { isObject } from '../formats/json.ts'
import type { SampleOptions } from '../generate/sample.ts'
import {
  as,
  beside,
  type Check,
  type Checks,
  either,
  filled,
  flag,
  idle,
  kind,
  number,
  refused,
  takeOptions,
  Unfit,
  unfit,
  whole,
} from '../hub/arguments.ts'
import { nearest } from '../hub/nearest.ts'
import { ApiError, badParameter } from './api-error.ts'

/** What every answer can be asked for. */
export interface CommonParameters {
  model: string
  stream: boolean
  stream_options: { include_usage: boolean }
  max_tokens: number
  temperature: number
  top_p: number
  top_k: number
  min_p: number
  repetition_penalty: number
  presence_penalty: number
  frequency_penalty: number
  stop: readonly string[]
  seed: number
  n: number
}

/** accepted where it asks for nothing */
type Nothing =
  | 'user'
  | 'metadata'
  | 'store'
  | 'service_tier'
  | 'logit_bias'
  | 'safety_identifier'
  | 'prompt_cache_key'
  | 'prompt_cache_retention'

const filledStop = kind<string>('a text of 1 to 1000 characters', (v) => typeof v === 'string' && v.length > 0 && v.length <= 1000)
const stops = kind<string[]>('a list of at most 4 texts of 1 to 1000 characters', (v) => {
  return Array.isArray(v) && v.length <= 4 && v.every((one) => typeof one === 'string' && one.length > 0 && one.length <= 1000)
})
const penalty = number('a number from -2 to 2', (n) => Math.abs(n) <= 2)
const streamOptions: Check<{ include_usage: boolean }> = {
  what: 'an object with include_usage, true or false',
  take(v) {
    if (!isObject(v) || Object.keys(v).some((key) => key !== 'include_usage' && key !== 'include_obfuscation')) return unfit
    const { include_usage: usage = false, include_obfuscation: obfuscation } = v
    if (obfuscation === true) return new Unfit('events are not padded; leave include_obfuscation out')
    return typeof usage === 'boolean' ? { include_usage: usage } : unfit
  },
}

export const common: Checks<CommonParameters & Record<Nothing, undefined>> = {
  model: filled,
  stream: flag,
  stream_options: beside({ met: (o) => o.stream === true, unless: 'without stream true' }, streamOptions),
  max_tokens: whole(1),
  temperature: number('a number from 0 to 2', (n) => n >= 0 && n <= 2),
  top_p: number('a number from 0 to 1', (n) => n >= 0 && n <= 1),
  top_k: whole(0),
  min_p: number('a number from 0 to 1', (n) => n >= 0 && n <= 1),
  repetition_penalty: number('a number above 0', (n) => n > 0),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  stop: either(
    as(filledStop, (one) => [one]),
    stops,
  ),
  seed: kind('a whole number', Number.isSafeInteger),
  n: whole(1, 128),
  user: idle,
  metadata: idle,
  safety_identifier: idle,
  prompt_cache_key: idle,
  prompt_cache_retention: idle,
  store: refused('nothing is stored here'),
  service_tier: refused('there is one tier', 'auto', 'default'),
  logit_bias: {
    what: 'an empty object',
    take: (v) => (isObject(v) && Object.keys(v).length === 0 ? undefined : new Unfit('single tokens can’t be biased')),
  },
}

export interface ChatParameters extends CommonParameters {
  messages: readonly unknown[]
  logprobs: boolean
  top_logprobs: number
  tools: readonly unknown[]
  tool_choice: 'auto' | 'none'
}

type NoChat =
  | 'parallel_tool_calls'
  | 'response_format'
  | 'modalities'
  | 'audio'
  | 'prediction'
  | 'reasoning_effort'
  | 'verbosity'
  | 'web_search_options'
  | 'functions'
  | 'function_call'
  | 'moderation'

const FREE = 'an answer can’t be held to a form'

export const chatChecks: Checks<ChatParameters & { max_completion_tokens: number } & Record<NoChat, undefined>> = {
  ...common,
  messages: kind('a list of messages, at least one', (v) => Array.isArray(v) && v.length > 0),
  max_completion_tokens: whole(1),
  logprobs: flag,
  top_logprobs: beside({ met: (o) => o.logprobs === true, unless: 'without logprobs true' }, whole(0, 20), 0),
  tools: kind('a list', Array.isArray),
  tool_choice: {
    what: 'auto or none',
    take: (v) => {
      if (v === 'auto' || v === 'none') return v
      return v === 'required' || isObject(v) ? new Unfit(`${FREE}. Use auto or none`) : unfit
    },
  },
  parallel_tool_calls: {
    what: 'true',
    take: (v) => (v === true ? undefined : new Unfit('the model calls as many as it does; leave it out')),
  },
  response_format: {
    what: '{ "type": "text" }',
    take: (v) => (isObject(v) && v.type === 'text' ? undefined : new Unfit(`${FREE}. Ask for JSON in a message, and check it`)),
  },
  modalities: {
    what: '["text"]',
    take: (v) => (Array.isArray(v) && v.every((one) => one === 'text') ? undefined : new Unfit('the model writes text alone')),
  },
  audio: refused('the model writes text alone'),
  prediction: refused('predicted outputs are not used'),
  reasoning_effort: refused('a model reasons as its chat template has it'),
  verbosity: refused('say in a message how long an answer should be'),
  web_search_options: refused('nothing is searched'),
  functions: refused('the older name of tools: give tools'),
  function_call: refused('the older name of tool_choice: give tools and tool_choice'),
  moderation: refused('nothing is moderated'),
}

export interface CompletionParameters extends CommonParameters {
  prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
  logprobs: number
}

const isId = (v: unknown) => Number.isSafeInteger(v) && (v as number) >= 0

export const completionChecks: Checks<CompletionParameters & Record<'best_of' | 'echo' | 'suffix', undefined>> = {
  ...common,
  prompt: kind('a text, a list of texts (at most 128), or token ids', (v) => {
    if (typeof v === 'string') return true
    if (!Array.isArray(v) || v.length === 0) return false
    if (v.every(isId)) return true
    if (v.length > 128) return false
    return v.every((one) => typeof one === 'string') || v.every((one) => Array.isArray(one) && one.every(isId))
  }),
  logprobs: whole(0, 5),
  best_of: refused('every answer is sent: ask for n', 1),
  echo: refused('the prompt is not sent back'),
  suffix: refused('a model goes on from a text, it does not fill gaps', ''),
}

/**
 * A body's parameters; null is as if it were not there, as OpenAI has it.
 * @param of the path, for messages
 * @throws ApiError 400 naming the parameter
 */
export function parametersOf<T extends CommonParameters>(body: JsonObject, of: string, checks: Checks<T>): Partial<T> & { model: string } {
  const names = Object.keys(checks)
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue
    const close = nearest(name.slice(0, 100), names)
    throw badParameter(
      name,
      `${of} has no parameter ${JSON.stringify(name.slice(0, 100))}${close ? `: did you mean ${close}?` : ''}`,
      'unknown_parameter',
    )
  }
  try {
    const taken = takeOptions<T>(given, of, checks)
    if (taken.model === undefined)
      throw badParameter('model', `${of} needs a model: GET /v1/models lists them`, 'missing_required_parameter')
    return taken as Partial<T> & { model: string }
  } catch (error) {
    if (!(error instanceof SaqrError)) throw error
    const code = error.code === 'OPTION_REFUSED' ? 'unsupported_parameter' : 'invalid_value'
    throw new ApiError({ status: 400, code, message: error.message, param: error.option ?? null })
  }
}

/** How tokens of an answer are chosen: OpenAI's defaults, a seed of its own for each of several. */
export function samplingOf(o: Partial<CommonParameters>, choice: number): SampleOptions {
  const { temperature = 1, top_p: topP = 1, top_k: topK = 0, min_p: minP = 0, seed = randomInt(2 ** 32) } = o
  const { repetition_penalty: repetitionPenalty, presence_penalty: presencePenalty, frequency_penalty: frequencyPenalty } = o
  const penalties = {
    ...(repetitionPenalty === undefined ? {} : { repetitionPenalty }),
    ...(presencePenalty === undefined ? {} : { presencePenalty }),
    ...(frequencyPenalty === undefined ? {} : { frequencyPenalty }),
  }
  return { temperature, topP, topK, minP, seed: seed + choice, ...penalties }
}
