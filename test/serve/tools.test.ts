/** Calls of tools: how a model writes them is told by its template, and they come back as OpenAI writes them. */
import type OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { toolFormatOf } from '../../src/serve/tool-format.ts'
import { ToolText } from '../../src/serve/tool-text.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { byteTokenizer } from '../cli/tiny-model.ts'
import { type Running, serveTiny } from './served.ts'

/** templates of our own that write calls as those of the families do */
const shown = "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}"
const rest = '\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}'
const each = '{% if m.tool_calls %}{% for c in m.tool_calls %}CALL{% endfor %}{% endif %}'
const templates = {
  hermes: shown + each.replace('CALL', '<tool_call>\n{{ c.function | tojson }}\n</tool_call>') + rest,
  mistral:
    `${shown}{% if m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{{ c.function | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}]{% endif %}` +
    rest,
  'mistral since 2025': shown + each.replace('CALL', '[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}') + rest,
  llama: shown + each.replace('CALL', '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}') + rest,
  xml:
    shown + each.replace('CALL', '<tool_call>\n<function={{ c.function.name }}>{{ c.function.arguments }}</function></tool_call>') + rest,
  none: shown + rest,
}
const tokenizerOf = (chatTemplate: string) =>
  new Tokenizer({ tokenizerJson: byteTokenizer(), tokenizerConfig: { eos_token: '</s>' }, chatTemplate } as never)
const formatOf = (name: keyof typeof templates) => toolFormatOf(tokenizerOf(templates[name]))

const call = { name: 'weather', arguments: { city: 'Sfax', days: 2 } }
const hermes = (one: object) => `<tool_call>\n${JSON.stringify(one)}\n</tool_call>`

/** the text in pieces of a few characters, as it would come */
function read(format: keyof typeof templates, text: string, size = 3) {
  const tools = new ToolText(formatOf(format)!, new Set(['weather', 'time']))
  let content = ''
  for (let i = 0; i < text.length; i += size) content += tools.push(text.slice(i, i + size))
  const { text: held, calls } = tools.end()
  return { content: content + held, calls: calls.map(({ name, arguments: given }) => ({ name, arguments: JSON.parse(given) })) }
}

it('a template says how calls are written', () => {
  expect(formatOf('hermes')!.mark).toBe('<tool_call>')
  expect(formatOf('mistral')!.mark).toBe('[TOOL_CALLS]')
  expect(formatOf('mistral since 2025')!.mark).toBe('[TOOL_CALLS]')
  expect(formatOf('llama')!.mark).toBe(null)
  expect(formatOf('xml')).toBe(null)
  expect(formatOf('none')).toBe(null)
})

describe('an answer', () => {
  it.each([
    ['hermes', `Let me see.\n${hermes(call)}`, 'Let me see.\n', [call]],
    ['hermes', `${hermes(call)}\n${hermes({ ...call, name: 'time' })}`, '', [call, { ...call, name: 'time' }]],
    ['hermes', '<tool_call>\n{"name": "weather", "arguments": {"city": "Sfax", "days": 2}}', '', [call]],
    ['hermes', '<tool_call>\n{"name": "weather", "arg', '<tool_call>\n{"name": "weather", "arg', []],
    ['hermes', 'a < b and <tool', 'a < b and <tool', []],
    ['mistral', `[TOOL_CALLS] [${JSON.stringify(call)}]`, '', [call]],
    ['mistral', '[TOOL_CALLS]weather[ARGS]{"city": "Sfax", "days": 2}', '', [call]],
    ['mistral', '[TOOL_CALLS] [{"name": 3}]', '[TOOL_CALLS] [{"name": 3}]', []],
    ['llama', '{"name": "weather", "parameters": {"city": "Sfax", "days": 2}}', '', [call]],
    ['llama', '<|python_tag|>{"name": "weather", "parameters": {"city": "Sfax", "days": 2}}', '', [call]],
    ['llama', '{"name": "nobody", "parameters": {}}', '{"name": "nobody", "parameters": {}}', []],
    ['llama', ' {"a": 1} is JSON', ' {"a": 1} is JSON', []],
    ['llama', 'It rains. {"name": "weather", "parameters": {}}', 'It rains. {"name": "weather", "parameters": {}}', []],
    ['llama', '  ', '  ', []],
  ] as const)('%s: %s', (format, text, content, calls) => {
    for (const size of [1, 3, 1000]) expect(read(format, text, size)).toEqual({ content, calls })
  })

  it('a name alone is a call where a mark says so', () => {
    const none = [{ name: 'time', arguments: {} }]
    expect(read('hermes', '<tool_call>\n{"name": "time"}\n</tool_call>').calls).toEqual(none)
    expect(read('mistral', '[TOOL_CALLS] [{"name": "time"}]').calls).toEqual(none)
    for (const [format, text] of [
      ['llama', '{"name": "time"}'],
      ['hermes', '<tool_call>\n{"name": "time", "arguments": 3}\n</tool_call>'],
      ['mistral since 2025', '[TOOL_CALLS]time[ARGS]{"a": '],
    ] as const)
      expect(read(format, text)).toEqual({ content: text, calls: [] })
  })

  it('that is no call goes on at once', () => {
    const tools = new ToolText(formatOf('hermes')!, new Set(['weather']))
    expect([tools.push('It '), tools.push('rains <to'), tools.push('day>')]).toEqual(['It ', 'rains ', '<today>'])
  })

  it('has the arguments’ numbers as the model wrote them', () => {
    const [one] = formatOf('hermes')!.parse(
      '<tool_call>{"name": "weather", "arguments": {"t": 20.0, "id": 12345678901234567890}}</tool_call>',
    )!
    expect(one!.arguments).toBe('{"t": 20.0, "id": 12345678901234567890}')
  })
})

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
