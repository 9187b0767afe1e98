/** Answers as the unmodified openai client reads them. */

import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { chatLogprob, completionLogprob } from '../../src/serve/logprobs.ts'
import { tokenizerOf } from '../text/fixtures.ts'
import { type Running, serveTiny } from './served.ts'

let s: Running
beforeAll(async () => {
  s = await serveTiny()
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})

const messages = [{ role: 'user' as const, content: 'By the sea' }]
const greedy = { model: 'tiny', messages, temperature: 0, max_tokens: 12 }

/** what generate answers, greedily */
async function answered(prompt: string | typeof messages, maxNewTokens: number, chat?: false): Promise<string> {
  let text = ''
  const options = chat === false ? { chat, maxNewTokens } : { maxNewTokens }
  for await (const piece of s.model.generate(prompt as string, options)) text += piece
  return text
}

describe('chat', () => {
  it('answers what generate answers, and says what it took', async () => {
    const { choices, usage, object, model } = await s.client.chat.completions.create(greedy)
    expect(choices).toMatchObject([
      { index: 0, finish_reason: 'length', message: { role: 'assistant', content: await answered(messages, 12) } },
    ])
    // <user>By the sea\n<assistant>: a token a byte
    expect(usage).toEqual({ prompt_tokens: 28, completion_tokens: 12, total_tokens: 40 })
    expect({ object, model }).toEqual({ object: 'chat.completion', model: 'tiny' })
  })

  it('streams the same', async () => {
    const whole = (await s.client.chat.completions.create(greedy)).choices[0]!.message.content
    const stream = await s.client.chat.completions.create({ ...greedy, stream: true, stream_options: { include_usage: true } })
    let text = ''
    const ends: unknown[] = []
    let usage: unknown
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      if (chunk.choices[0]?.finish_reason) ends.push(chunk.choices[0].finish_reason)
      usage = chunk.usage ?? usage
    }
    expect({ text, ends, usage }).toEqual({
      text: whole,
      ends: ['length'],
      usage: { prompt_tokens: 28, completion_tokens: 12, total_tokens: 40 },
    })
  })

  it('reads as the client’s own helper gathers it', async () => {
    const runner = s.client.chat.completions.stream(greedy)
    expect(await runner.finalContent()).toBe(await answered(messages, 12))
  })

  it('draws the same with the same seed, and each of several by itself', async () => {
    const drawn = { ...greedy, temperature: 1, seed: 7, n: 3 }
    const one = await s.client.chat.completions.create(drawn)
    const two = await s.client.chat.completions.create(drawn)
    const texts = one.choices.map(({ message }) => message.content)
    expect(two.choices.map(({ message }) => message.content)).toEqual(texts)
    expect(new Set(texts).size).toBe(3)
    expect(one.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    const alone = await s.client.chat.completions.create({ ...drawn, n: 1, seed: 9 })
    expect(alone.choices[0]!.message.content).toBe(texts[2])
  })

  it('without a seed draws anew each time', async () => {
    const ask = () => s.client.chat.completions.create({ ...greedy, temperature: 2 })
    const [a, b] = await Promise.all([ask(), ask()])
    expect(a.choices[0]!.message.content).not.toBe(b.choices[0]!.message.content)
  })

  it('tells how likely tokens were', async () => {
    const { choices } = await s.client.chat.completions.create({ ...greedy, logprobs: true, top_logprobs: 3 })
    const tokens = choices[0]!.logprobs!.content!
    expect(tokens).toHaveLength(12)
    for (const { logprob, top_logprobs: top } of tokens) {
      expect(top).toHaveLength(3)
      // greedy: the likeliest
      expect(top[0]!.logprob).toBe(logprob)
      expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).sort((a, b) => b - a))
      expect(logprob).toBeLessThan(0)
    }
  })

  it('tells the bytes of a part of a character, so that a client can put it together', async () => {
    const ids = s.model.tokenizer.encode('é😀.')
    vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
    const { choices } = await s.client.chat.completions.create({ ...greedy, max_tokens: 7, logprobs: true })
    vi.restoreAllMocks()
    const tokens = choices[0]!.logprobs!.content!
    expect(choices[0]!.message.content).toBe('é😀.')
    expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes!)).toString()).toBe('é😀.')
    expect(tokens.map(({ token }) => token)).toEqual(['\\xc3', '\\xa9', '\\xf0', '\\x9f', '\\x98', '\\x80', '.'])
  })

  // parts of characters as OpenAI's own answers write them (vllm#6626): else several of them would be one U+FFFD
  it.each(['llama2-like', 'smollm-like'])('%s: parts of characters are told apart', (kind) => {
    const tokenizer = tokenizerOf(kind)
    const ids = tokenizer.encode('😀', { addSpecialTokens: false }).slice(-4)
    const logprob = -1
    const rated = ids.map((id) => chatLogprob(tokenizer, { id, logprob, top: [] }))
    expect(rated.map(({ bytes }) => bytes)).toEqual([[0xf0], [0x9f], [0x98], [0x80]])
    const top = ids.map((id, i) => ({ id, logprob: -i }))
    expect(completionLogprob(tokenizer, { id: ids[0]!, logprob, top }, 0)).toMatchObject({
      tokens: ['bytes:\\xf0'],
      top_logprobs: [{ 'bytes:\\xf0': -0, 'bytes:\\x9f': -1, 'bytes:\\x98': -2, 'bytes:\\x80': -3 }],
    })
  })

  it('ends before a stop string', async () => {
    const whole = await answered(messages, 12)
    const stop = whole.slice(3, 5)
    const { choices } = await s.client.chat.completions.create({ ...greedy, stop: [stop] })
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: whole.slice(0, whole.indexOf(stop)) } })
  })

  it('takes parts of text, and a developer’s message as a system message', async () => {
    const parts = [
      { type: 'text' as const, text: 'By the ' },
      { type: 'text' as const, text: 'sea' },
    ]
    const ask = async (given: OpenAI.ChatCompletionMessageParam[]) =>
      (await s.client.chat.completions.create({ ...greedy, messages: given })).choices[0]!.message.content
    expect(await ask([{ role: 'user', content: parts }])).toBe(await answered(messages, 12))
    const said = (role: 'system' | 'developer') => ask([{ role, content: 'be brief' }, ...messages])
    expect(await said('developer')).toBe(await said('system'))
  })

  it('an adapter is a model of its own, also beside the base', async () => {
    const ask = (model: string) => s.client.chat.completions.create({ ...greedy, model })
    const [base, tuned, again] = await Promise.all([ask('tiny'), ask('tuned'), ask('tiny')])
    expect(tuned.choices[0]!.message.content).not.toBe(base.choices[0]!.message.content)
    expect(again.choices[0]!.message.content).toBe(base.choices[0]!.message.content)
    expect((await s.client.models.list()).data.map(({ id }) => id)).toEqual(['tiny', 'tuned'])
    expect(await s.client.models.retrieve('tuned')).toMatchObject({ id: 'tuned', object: 'model' })
  })
})

describe('completions', () => {
  it('go on from texts and token ids as they are', async () => {
    const o = { model: 'tiny', temperature: 0, max_tokens: 8 }
    const { choices, usage } = await s.client.completions.create({ ...o, prompt: ['the white owl', 'a boy'] })
    expect(choices.map(({ text }) => text)).toEqual([await answered('the white owl', 8, false), await answered('a boy', 8, false)])
    expect(usage).toEqual({ prompt_tokens: 18, completion_tokens: 16, total_tokens: 34 })
    const ids = s.model.tokenizer.encode('a boy')
    expect((await s.client.completions.create({ ...o, prompt: ids })).choices[0]!.text).toBe(choices[1]!.text)
  })

  it('stream, and tell how likely tokens were', async () => {
    const o = { model: 'tiny', prompt: 'a boy', temperature: 0, max_tokens: 8, logprobs: 2 }
    const whole = (await s.client.completions.create(o)).choices[0]!
    expect(whole.logprobs!.tokens).toHaveLength(8)
    expect(whole.logprobs!.token_logprobs).toHaveLength(8)
    const streamed: string[] = []
    for await (const { choices } of await s.client.completions.create({ ...o, stream: true })) streamed.push(choices[0]!.text)
    expect(streamed.join('')).toBe(whole.text)
    expect(streamed.length).toBeGreaterThan(1)
  })
})

describe('one message alone', () => {
  it('is asked in the form that the model was trained on', async () => {
    const { language } = s.model
    const form = { form: 'plain', end: ' ->' } as const
    language.promptForm = form
    try {
      const { choices, usage } = await s.client.chat.completions.create(greedy)
      expect(choices[0]!.message.content).toBe(await answered('By the sea', 12))
      // By the sea ->
      expect(usage!.prompt_tokens).toBe(13)
      const system = { role: 'system' as const, content: 'be brief' }
      const both = await s.client.chat.completions.create({ ...greedy, messages: [system, ...messages] })
      // <system>be brief\n<user>By the sea\n<assistant>
      expect(both.usage!.prompt_tokens).toBe(45)
    } finally {
      language.promptForm = null
    }
  })
})
