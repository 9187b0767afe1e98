/** POST /v1/chat/completions: answers to a conversation, whole or as they grow. */
import type { JsonObject } from '../formats/json.ts'
import type { Ending } from '../generate/generate.ts'
import { type Choice, Sampler } from '../generate/sample.ts'
import { stopsAsTokens } from '../generate/stop-strings.ts'
import { Answer } from './answer.ts'
import { apiErrorOf, badParameter } from './api-error.ts'
import { allOf, type Context, headOf, usageOf } from './context.ts'
import { chatLogprob } from './logprobs.ts'
import { messagesOf, promptOf, toolsOf } from './messages.ts'
import type { ServedModel } from './models.ts'
import { type ChatParameters, chatChecks, parametersOf, samplingOf } from './parameters.ts'
import type { Reply } from './reply.ts'
import type { Size } from './scheduler.ts'
import { newCallId } from './tool-format.ts'
import type { Tools } from './tool-notations.ts'

type Finish = 'stop' | 'length' | 'tool_calls'
type Logprob = ReturnType<typeof chatLogprob>

interface CalledTool {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

/** What came to an answer: text, its token's logprob, calls, at last why it ended. */
interface Delta {
  content: string
  logprobs: Logprob[]
  calls: CalledTool[]
  finish: Finish | null
}

/** @throws ApiError, SaqrError */
export async function chatCompletions(context: Context, body: JsonObject, reply: Reply): Promise<void> {
  const o = parametersOf(body, 'chat/completions', chatChecks)
  if (o.messages === undefined) throw badParameter('messages', 'chat/completions needs messages', 'missing_required_parameter')
  const model = await context.models.get(o.model)
  const { tools, schemas } = toolsOf(o.tool_choice === 'none' ? [] : (o.tools ?? []))
  const count = o.n ?? 1
  const stop = new Set([...model.stop, ...stopsAsTokens(model.tokenizer, o.stop ?? [])])
  const maxNewTokens = o.max_completion_tokens ?? o.max_tokens ?? context.maxNewTokens
  let prompt: readonly number[] = []
  try {
    prompt = promptOf(model, messagesOf(o.messages, model), tools)
    context.scheduler.check(model.language, Array<Size>(count).fill({ prompt, maxNewTokens }))
  } catch (error) {
    throw apiErrorOf(error, 'messages')
  }
  const told = o.stream ? new Streamed(o, reply) : new Whole(o, reply, count)
  told.begin(count)
  const answers = Array.from({ length: count }, (_, i) => async (signal: AbortSignal) => {
    const answer = new ChatAnswer(model, o, schemas, (delta) => told.take(i, delta))
    const sampler = new Sampler(prompt, { ...samplingOf(o, i), logprobs: o.logprobs ?? false, topLogprobs: o.top_logprobs ?? 0 })
    const take = (choice: Choice) => answer.take(choice)
    const question = { prompt, sampler, stop, maxNewTokens, signal, take }
    answer.end(await context.scheduler.answer(model.language, question))
    return answer.tokens
  })
  const tokens = await allOf(reply.signal, answers)
  const completion = tokens.reduce((sum, n) => sum + n, 0)
  told.end(usageOf(prompt.length, completion))
}

/** One answer: its tokens as deltas. */
class ChatAnswer {
  readonly #model: ServedModel
  readonly #answer: Answer
  readonly #logged: boolean
  readonly #tell: (delta: Delta) => void

  constructor(model: ServedModel, o: Partial<ChatParameters>, tools: Tools, tell: (delta: Delta) => void) {
    this.#model = model
    this.#answer = new Answer(model.tokenizer, o.stop ?? [], model.form.reader(tools))
    this.#logged = o.logprobs === true
    this.#tell = tell
  }

  get tokens(): number {
    return this.#answer.tokens
  }

  take(choice: Choice): boolean {
    const { text: content, stopped } = this.#answer.push(choice)
    const logprobs = this.#logged ? [chatLogprob(this.#model.tokenizer, choice)] : []
    if (content !== '' || logprobs.length > 0) this.#tell({ content, logprobs, calls: [], finish: null })
    return !stopped
  }

  end(ending: Ending): void {
    const { text: content, calls: read } = this.#answer.end()
    const calls = read.map((call): CalledTool => ({ id: newCallId(), type: 'function', function: call }))
    const reason = this.#answer.reason(ending)
    this.#tell({ content, logprobs: [], calls, finish: calls.length > 0 && reason === 'stop' ? 'tool_calls' : reason })
  }
}

type Asked = Partial<ChatParameters> & { model: string }

/** Deltas as they come. */
class Streamed {
  readonly #reply: Reply
  readonly #head: Record<string, unknown>
  readonly #usage: boolean
  readonly #logged: boolean

  constructor({ model, logprobs = false, stream_options: options }: Asked, reply: Reply) {
    this.#reply = reply
    this.#logged = logprobs
    this.#head = headOf('chatcmpl', 'chat.completion.chunk', model)
    this.#usage = options?.include_usage ?? false
  }

  begin(count: number): void {
    for (let i = 0; i < count; i++) this.#chunk(i, { role: 'assistant', content: '' })
  }

  take(index: number, { content, logprobs, calls, finish }: Delta): void {
    if (content !== '' || logprobs.length > 0) this.#chunk(index, { content }, null, logprobs)
    if (calls.length > 0) this.#chunk(index, { tool_calls: calls.map((call, i) => ({ index: i, ...call })) })
    if (finish !== null) this.#chunk(index, {}, finish)
  }

  end(usage: unknown): void {
    if (this.#usage) this.#reply.event({ ...this.#head, choices: [], usage })
    this.#reply.done()
  }

  #chunk(index: number, delta: unknown, finish: Finish | null = null, logprobs: Logprob[] = []): void {
    const logged = this.#logged && logprobs.length > 0 ? { content: logprobs, refusal: null } : null
    const choices = [{ index, delta, logprobs: logged, finish_reason: finish }]
    this.#reply.event({ ...this.#head, choices, ...(this.#usage ? { usage: null } : {}) })
  }
}

/** Deltas gathered, sent when all have ended. */
class Whole {
  readonly #reply: Reply
  readonly #head: Record<string, unknown>
  readonly #logged: boolean
  readonly #answers: Delta[]

  constructor({ model, logprobs = false }: Asked, reply: Reply, count: number) {
    this.#reply = reply
    this.#logged = logprobs
    this.#head = headOf('chatcmpl', 'chat.completion', model)
    this.#answers = Array.from({ length: count }, () => ({ content: '', logprobs: [], calls: [], finish: null }))
  }

  begin(): void {}

  take(index: number, { content, logprobs, calls, finish }: Delta): void {
    const all = this.#answers[index]!
    all.content += content
    all.logprobs.push(...logprobs)
    all.calls.push(...calls)
    all.finish ??= finish
  }

  end(usage: unknown): void {
    const choices = this.#answers.map(({ content, logprobs, calls, finish }, index) => {
      // a text of white space before calls is none
      const text = calls.length > 0 && content.trim() === '' ? null : content
      const message = { role: 'assistant', content: text, refusal: null, ...(calls.length > 0 ? { tool_calls: calls } : {}) }
      return { index, message, logprobs: this.#logged ? { content: logprobs, refusal: null } : null, finish_reason: finish }
    })
    this.#reply.json({ ...this.#head, choices, usage })
  }
}
