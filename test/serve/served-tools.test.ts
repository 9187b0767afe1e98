/** Calls of tools through the server: they come back as OpenAI writes them, and earlier ones reach the template. */
import type OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { messagesOf, promptOf } from '../../src/serve/messages.ts'
import type { ServedModel } from '../../src/serve/models.ts'
import { answerForm } from '../../src/serve/tool-format.ts'
import { type Running, serveTiny } from './served.ts'
import { hermes, templates, tokenizerOf } from './tool-templates.ts'

describe('served', () => {
  let s: Running
  beforeAll(async () => {
    s = await serveTiny({ template: templates.hermes })
  })
  afterAll(async () => {
    await s.stop()
    expect(s.faults).toEqual([])
  })
  afterEach(() => void vi.restoreAllMocks())

  /** the model's tokens are those of this text, whatever its logits say */
  function says(text: string) {
    const ids = [...s.model.tokenizer.encode(text), s.model.tokenizer.eosId!]
    vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
  }

  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: { type: 'object', properties: {} } } }]
  const asked: OpenAI.ChatCompletionCreateParamsNonStreaming = {
    model: 'tiny',
    messages: [{ role: 'user', content: 'w?' }],
    tools,
    max_tokens: 90,
  }

  it('calls come back, whole and in a stream', async () => {
    says(hermes({ name: 'weather', arguments: { a: 1 } }))
    const { choices } = await s.client.chat.completions.create(asked)
    const { message, finish_reason } = choices[0]!
    expect({ content: message.content, finish_reason }).toEqual({ content: null, finish_reason: 'tool_calls' })
    expect(message.tool_calls).toMatchObject([{ type: 'function', function: { name: 'weather', arguments: '{"a": 1}' } }])
    expect(message.tool_calls![0]!.id).toMatch(/^[A-Za-z0-9]{9}$/)

    says(`So. ${hermes({ name: 'weather', arguments: { a: 1 } })}`)
    const streamed = await s.client.chat.completions.stream({ ...asked, stream: true }).finalChatCompletion()
    expect(streamed.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { content: 'So. ', tool_calls: [{ function: { name: 'weather', arguments: '{"a": 1}' } }] },
    })
  })

  it('an earlier call and its result go through the template as it wrote them', async () => {
    const render = vi.spyOn(s.model.tokenizer, 'applyChatTemplate')
    const calls = [{ id: 'abc123def', type: 'function' as const, function: { name: 'weather', arguments: '{"a": 1.0}' } }]
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: 'user', content: 'w?' },
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', tool_call_id: 'abc123def', content: 'rain' },
    ]
    await s.client.chat.completions.create({ ...asked, messages, max_tokens: 1 })
    const { text } = render.mock.results[0]!.value as { text: string }
    expect(text).toContain('<tool_call>\n{"name": "weather", "arguments": {"a": 1.0}}\n</tool_call><tool>rain<assistant>')
    expect(text).toMatch(/^<tools>.*weather/)
  })

  // rig#1362, lmstudio-bug-tracker#261, llama-cpp-python#1805, page-assist#614
  it.each([
    ['no content', {}],
    ['null', { content: null }],
    ['an empty list', { content: [] }],
    ['an empty text', { content: '' }],
  ])('%s beside a call is no text, and an empty list of calls is none', async (_, said) => {
    const render = vi.spyOn(s.model.tokenizer, 'applyChatTemplate')
    const calls = [{ id: 'abc123def', type: 'function', function: { name: 'weather', arguments: '{}' } }]
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'w?' }] },
      { role: 'assistant', content: 'Hm.', tool_calls: [] },
      { role: 'user', content: 'so?' },
      { role: 'assistant', ...said, tool_calls: calls },
      { role: 'tool', tool_call_id: 'abc123def', content: [{ type: 'text', text: 'rain' }] },
    ] as OpenAI.ChatCompletionMessageParam[]
    await s.client.chat.completions.create({ ...asked, messages, max_tokens: 1 })
    const { text } = render.mock.results[0]!.value as { text: string }
    expect(text.slice(text.indexOf('<user>'))).toBe(
      '<user>w?<assistant>Hm.<user>so?<assistant><tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call><tool>rain<assistant>',
    )
  })

  it('without tools, or with none chosen, the same text is text', async () => {
    const text = hermes({ name: 'weather', arguments: { a: 1 } })
    says(text)
    const { choices } = await s.client.chat.completions.create({ ...asked, tool_choice: 'none' })
    expect(choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: text } })
  })
})

// sglang#9898, #9446, litellm#18925, mlx-lm#1065, verl#7664: a template that adds arguments to text was given an object
it('an earlier call reaches a template that adds texts; one that leaves it out is told', async () => {
  const calls = [{ id: 'abc123def', type: 'function' as const, function: { name: 'weather', arguments: '{"a": 1.0}' } }]
  const ask = async (name: keyof typeof templates) => {
    const s = await serveTiny({ template: templates[name] })
    const render = vi.spyOn(s.model.tokenizer, 'applyChatTemplate')
    try {
      await s.client.chat.completions.create({
        model: 'tiny',
        messages: [
          { role: 'user', content: 'w?' },
          { role: 'assistant', content: null, tool_calls: calls },
        ],
        max_tokens: 1,
      })
      return (render.mock.results[0]!.value as { text: string }).text
    } finally {
      vi.restoreAllMocks()
      await s.stop()
    }
  }
  expect(await ask('mistral, printed')).toContain('[TOOL_CALLS]weather[ARGS]{"a": 1.0}')
  expect(await ask('deepseek')).toContain('<｜tool▁sep｜>weather\n```json\n{"a": 1.0}\n```<｜tool▁call▁end｜>')
  await expect(ask('deepseek r1')).rejects.toMatchObject({ status: 400, param: 'messages[1].tool_calls' })
})

it('stop strings end what is given out, not thoughts, heads of channels or calls', async () => {
  const answer = async (name: keyof typeof templates, text: string, stop: string[]) => {
    const s = await serveTiny({ template: templates[name] })
    const says = () => {
      const ids = [...s.model.tokenizer.encode(text, { addSpecialTokens: false }), s.model.tokenizer.eosId!]
      vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
    }
    const asked = { model: 'tiny', messages: [{ role: 'user' as const, content: 'w?' }], max_tokens: 150, stop }
    const weather = { type: 'function' as const, function: { name: 'weather', parameters: { type: 'object', properties: {} } } }
    const tools = name === 'hermes' ? [weather] : []
    try {
      says()
      const whole = await s.client.chat.completions.create({ ...asked, tools })
      says()
      const streamed = await s.client.chat.completions.stream({ ...asked, tools, stream: true }).finalChatCompletion()
      const [a, b] = [whole, streamed].map(({ choices: [one] }) => ({
        content: one!.message.content ?? '',
        calls: (one!.message.tool_calls ?? []).map((called) => called.type === 'function' && called.function.arguments),
        finish: one!.finish_reason,
      }))
      expect(b).toEqual(a)
      return { ...a, tokens: whole.usage!.completion_tokens }
    } finally {
      vi.restoreAllMocks()
      await s.stop()
    }
  }
  const thought = '<|channel|>analysis<|message|>First.\nSecond.<|end|>'
  const said = `${thought}<|start|>assistant<|channel|>final<|message|>four`
  const all = { content: 'four', calls: [], finish: 'stop', tokens: said.length }
  for (const stop of ['\n', 'final', 'analysis', 'Second']) expect(await answer('gpt-oss', said, [stop])).toEqual(all)
  // nothing is computed behind one
  expect(await answer('gpt-oss', `${said}\nfive`, ['\n'])).toEqual({ ...all, tokens: said.length + 1 })
  expect(await answer('gpt-oss', `${said}\nfive`, ['r\nf'])).toMatchObject({ content: 'fou', finish: 'stop' })
  const called = hermes({ name: 'weather', arguments: { a: 1 } })
  expect(await answer('hermes', `So. ${called}`, ['\n'])).toMatchObject({ content: 'So. ', calls: ['{"a": 1}'], finish: 'tool_calls' })
  expect(await answer('hermes', `So.\n${called}`, ['\n'])).toMatchObject({ content: 'So.', calls: [], finish: 'stop' })
  // what is no call after all is text up to it
  expect(await answer('hermes', 'So. <tool_call>\n{"na', ['\n'])).toMatchObject({ content: 'So. <tool_call>', calls: [], finish: 'stop' })
})

it('where a template shows one call of a message, each becomes a message of its own with its result', () => {
  const oneCall = `{% for m in messages %}{% if m.tool_calls %}{% set c = m.tool_calls[0].function %}{{ m.content }}<call {{ c.name }}>{{ c.arguments | tojson }}{% elif m['role'] == 'tool' %}<result>{{ m['content'] }}{% else %}<{{ m['role'] }}>{{ m['content'] }}{% endif %}{% endfor %}`
  const calls = [
    { id: 'a', type: 'function', function: { name: 'weather', arguments: '{"t": 20.0}' } },
    { id: 'b', type: 'function', function: { name: 'time', arguments: '{}' } },
  ]
  const result = (content: string, id?: string) => ({ role: 'tool', content, ...(id === undefined ? {} : { tool_call_id: id }) })
  const textOf = (template: string, ...after: object[]) => {
    const tokenizer = tokenizerOf(template)
    const model = { tokenizer, form: answerForm(tokenizer), language: { promptForm: null } } as unknown as ServedModel
    const messages = messagesOf(
      [{ role: 'user', content: 'w?' }, { role: 'assistant', content: 'Two.', tool_calls: calls }, ...after],
      model,
    )
    return tokenizer.decode(promptOf(model, messages, []))
  }
  const both = '<user>w?Two.<call weather>{"t": 20.0}<result>rain<call time>{}<result>noon'
  expect(textOf(oneCall, result('rain', 'a'), result('noon', 'b'))).toBe(both)
  expect(textOf(oneCall, result('noon', 'b'), result('rain', 'a'))).toBe(both)
  expect(textOf(oneCall, result('rain'), result('noon'), { role: 'user', content: 'so?' })).toBe(`${both}<user>so?`)
  expect(textOf(oneCall)).toBe('<user>w?Two.<call weather>{"t": 20.0}<call time>{}')
  const strict = oneCall.replace('{% set c', "{% if m.tool_calls | length != 1 %}{{ raise_exception('one') }}{% endif %}{% set c")
  expect(textOf(strict, result('rain', 'a'), result('noon', 'b'))).toBe(both)
  const refused = (...given: Parameters<typeof textOf>) => {
    try {
      return textOf(...given)
    } catch (error) {
      return error
    }
  }
  // a result of no call, and a template that takes one call a conversation
  expect(refused(oneCall, result('rain', 'a'), result('noon', 'c'))).toMatchObject({ status: 400, param: 'messages[1].tool_calls[1]' })
  const first = oneCall.replace('{% if m.tool_calls %}', '{% if m.tool_calls and loop.index == 2 %}')
  expect(refused(first, result('rain', 'a'), result('noon', 'b'))).toMatchObject({ status: 400, param: 'messages[1].tool_calls[1]' })
  expect(refused(strict, result('rain', 'a'), result('noon', 'c'))).toMatchObject({ code: 'TEXT_TEMPLATE_ROW' })
  const silent = oneCall.replace("<result>{{ m['content'] }}", '')
  expect(refused(silent, result('rain', 'a'), result('noon', 'b'))).toMatchObject({ status: 400, param: 'messages[2]' })
  // one that shows all is given them as they are
  const gathered = textOf(templates.hermes, result('rain', 'a'), result('noon', 'b'))
  expect(gathered.match(/<assistant>/g)).toHaveLength(2)
  expect(gathered).toContain('</tool_call><tool>rain')
})

it('of an answer in channels the final one is sent, whole and in a stream, without tools too', async () => {
  const s = await serveTiny({ template: templates['gpt-oss'] })
  const text = '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>four'
  const says = () => {
    const ids = [...s.model.tokenizer.encode(text, { addSpecialTokens: false }), s.model.tokenizer.eosId!]
    vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
  }
  const asked = { model: 'tiny', messages: [{ role: 'user' as const, content: 'w?' }], max_tokens: 120 }
  try {
    says()
    const whole = await s.client.chat.completions.create(asked)
    expect(whole.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'four' } })
    expect(whole.usage!.completion_tokens).toBe(text.length)
    says()
    const streamed = await s.client.chat.completions.stream({ ...asked, stream: true }).finalChatCompletion()
    expect(streamed.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'four' } })
    // what is gone on from as it is stays as it is
    says()
    const raw = await s.client.completions.create({ model: 'tiny', prompt: 'w', max_tokens: 120 })
    expect(raw.choices[0]!.text).toBe(text)
  } finally {
    vi.restoreAllMocks()
    await s.stop()
  }
})
