/** POST /v1/completions: texts that go on from prompts as they are, without a chat template. */
import type { JsonObject } from '../formats/json.ts'
import { type Choice, Sampler } from '../generate/sample.ts'
import { stopsAsTokens } from '../generate/stop-strings.ts'
import { Answer } from './answer.ts'
import { apiErrorOf, badParameter } from './api-error.ts'
import { allOf, type Context, headOf, usageOf } from './context.ts'
import { type CompletionLogprobs, completionLogprob } from './logprobs.ts'
import type { ServedModel } from './models.ts'
import { type CompletionParameters, completionChecks, parametersOf, samplingOf } from './parameters.ts'
import type { Reply } from './reply.ts'

interface Part {
  text: string
  logprobs: CompletionLogprobs | null
  finish_reason: 'stop' | 'length' | null
}

/** @throws ApiError, SaqrError */
export async function completions(context: Context, body: JsonObject, reply: Reply): Promise<void> {
  const o = parametersOf(body, 'completions', completionChecks)
  if (o.prompt === undefined) throw badParameter('prompt', 'completions needs a prompt', 'missing_required_parameter')
  const model = await context.models.get(o.model)
  const each = o.n ?? 1
  const stop = new Set([...model.stop, ...stopsAsTokens(model.tokenizer, o.stop ?? [])])
  const maxNewTokens = o.max_tokens ?? context.maxNewTokens
  const { prompts, all } = checked(context, model, o.prompt, each, maxNewTokens)
  const head = headOf('cmpl', 'text_completion', o.model)
  const withUsage = o.stream_options?.include_usage ?? false
  const parts: Part[] = all.map(() => ({ text: '', logprobs: null, finish_reason: null }))
  const tell = (index: number, part: Part) => {
    if (o.stream) reply.event({ ...head, choices: [{ index, ...part }], ...(withUsage ? { usage: null } : {}) })
    else join(parts[index]!, part)
  }
  const answers = all.map((prompt, index) => async (signal: AbortSignal) => {
    const answer = new Answer(model.tokenizer, o.stop ?? [])
    let length = 0
    const take = (choice: Choice) => {
      const { text, stopped } = answer.push(choice)
      const logprobs = o.logprobs === undefined ? null : completionLogprob(model.tokenizer, choice, length)
      length += text.length
      if (text !== '' || logprobs) tell(index, { text, logprobs, finish_reason: null })
      return !stopped
    }
    const logged = o.logprobs === undefined ? {} : { logprobs: true, topLogprobs: o.logprobs }
    const sampler = new Sampler(prompt, { ...samplingOf(o, index % each), ...logged })
    const ending = await context.scheduler.answer(model.language, { prompt, sampler, stop, maxNewTokens, signal, take })
    const { text } = answer.end()
    tell(index, { text, logprobs: null, finish_reason: answer.reason(ending) })
    return answer.tokens
  })
  const tokens = await allOf(reply.signal, answers)
  const usage = usageOf(
    prompts.reduce((sum, { length }) => sum + length, 0),
    tokens.reduce((sum, n) => sum + n, 0),
  )
  if (!o.stream) return reply.json({ ...head, choices: parts.map((part, index) => ({ index, ...part })), usage })
  if (withUsage) reply.event({ ...head, choices: [], usage })
  reply.done()
}

/** Prompts as token ids, and those of every answer. @throws ApiError */
function checked({ scheduler }: Context, model: ServedModel, given: CompletionParameters['prompt'], each: number, maxNewTokens: number) {
  try {
    const prompts = idsOf(model, given)
    const all = prompts.flatMap((prompt) => Array<readonly number[]>(each).fill(prompt))
    scheduler.check(
      model.language,
      all.map((prompt) => ({ prompt, maxNewTokens })),
    )
    return { prompts, all }
  } catch (error) {
    throw apiErrorOf(error, 'prompt')
  }
}

function idsOf({ tokenizer }: ServedModel, given: CompletionParameters['prompt']): readonly (readonly number[])[] {
  if (typeof given === 'string') return [tokenizer.encode(given)]
  if (typeof given[0] === 'number') return [given as readonly number[]]
  return (given as readonly (string | readonly number[])[]).map((one) => (typeof one === 'string' ? tokenizer.encode(one) : one))
}

function join(all: Part, { text, logprobs, finish_reason }: Part): void {
  all.text += text
  all.finish_reason ??= finish_reason
  if (!logprobs) return
  if (!all.logprobs) all.logprobs = logprobs
  else
    for (const key of ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const)
      (all.logprobs[key] as unknown[]).push(...logprobs[key])
}
