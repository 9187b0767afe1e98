/** Calls of tools: how a model writes them is told by its template, and they come back as OpenAI writes them. */
import type OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { messagesOf, promptOf } from '../../src/serve/messages.ts'
import type { ServedModel } from '../../src/serve/models.ts'
import { answerForm } from '../../src/serve/tool-format.ts'
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
  // which prints an object too, as Python's str writes it
  'mistral, printed': shown + each.replace('CALL', '[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments }}') + rest,
  llama: shown + each.replace('CALL', '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}') + rest,
  xml:
    shown + each.replace('CALL', '<tool_call>\n<function={{ c.function.name }}>{{ c.function.arguments }}</function></tool_call>') + rest,
  'qwen 3 coder':
    shown +
    each.replace(
      'CALL',
      '<tool_call>\n<function={{ c.function.name }}>\n{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>',
    ) +
    rest,
  // which adds texts: an object is none
  deepseek:
    `${shown}{% if m.tool_calls %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.type + '<｜tool▁sep｜>' + c.function.name + '\n\`\`\`json\n' + c.function.arguments + '\n\`\`\`' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  'deepseek since 3.1':
    `${shown}{% if m.tool_calls %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name + '<｜tool▁sep｜>' + c.function.arguments }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  // which shows calls beside no content alone (verl#7768)
  'deepseek r1':
    `${shown}{% if m['role'] == 'assistant' and m['content'] is none %}<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.type + '<｜tool▁sep｜>' + c.function.name + '\n\`\`\`json\n' + c.function.arguments + '\n\`\`\`' }}<｜tool▁call▁end｜>{% endfor %}<｜tool▁calls▁end｜>{% endif %}` +
    rest,
  'gpt-oss':
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{% if m.tool_calls %}<|start|>assistant to=functions.{{ m.tool_calls[0].function.name }}<|channel|>commentary json<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% elif m['role'] == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m['content'] }}<|end|>{% else %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
  none: shown + rest,
}
const tokenizerOf = (chatTemplate: string) =>
  new Tokenizer({ tokenizerJson: byteTokenizer(), tokenizerConfig: { eos_token: '</s>' }, chatTemplate } as never)
const string = { type: 'string' }
const schemas = new Map<string, unknown>([
  ['weather', { type: 'object', properties: { city: string, days: { type: 'integer' }, windy: { type: 'boolean' } } }],
  ['time', { type: 'object', properties: {} }],
])
const readerOf = (name: keyof typeof templates, tools = schemas) => answerForm(tokenizerOf(templates[name])).reader(tools)

const call = { name: 'weather', arguments: { city: 'Sfax', days: 2 } }
const hermes = (one: object) => `<tool_call>\n${JSON.stringify(one)}\n</tool_call>`

const coder = (inside: string) => `<tool_call>\n<function=weather>\n${inside}\n</function>\n</tool_call>`
const fence = (...names: string[]) =>
  `<｜tool▁calls▁begin｜>${names.map((name) => `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${name}\n\`\`\`json\n${JSON.stringify(call.arguments)}\n\`\`\`<｜tool▁call▁end｜>`).join('\n')}<｜tool▁calls▁end｜>`

/** the text in pieces of a few characters, as it would come */
function read(format: keyof typeof templates, text: string, size = 3, schema = schemas) {
  const tools = readerOf(format, schema)!
  let content = ''
  for (let i = 0; i < text.length; i += size) content += tools.push(text.slice(i, i + size))
  const { text: held, calls } = tools.end()
  return { content: content + held, calls: calls.map(({ name, arguments: given }) => ({ name, arguments: JSON.parse(given) })) }
}

it('a template says how calls are written, and which arguments it takes', () => {
  const known = Object.keys(templates).filter((name) => readerOf(name as keyof typeof templates) !== null)
  expect(known).toEqual(Object.keys(templates).filter((name) => name !== 'xml' && name !== 'none' && name !== 'deepseek r1'))
  const asText = known.filter((name) => answerForm(tokenizerOf(templates[name as keyof typeof templates])).argumentsAsText)
  expect(asText).toEqual(['mistral, printed', 'deepseek', 'deepseek since 3.1'])
  // a notation of its own for objects, and texts as they are: Gemma 4's is not JSON
  const own =
    shown +
    each.replace(
      'CALL',
      'call:{{ c.function.name }}{% if c.function.arguments is mapping %}{a:<|"|>{{ c.function.arguments.a }}<|"|>}{% else %}{{ c.function.arguments }}{% endif %}',
    )
  expect(answerForm(tokenizerOf(own)).argumentsAsText).toBe(false)
  // without tools an answer is text as it is, but for one in channels
  const bare = known.filter((name) => readerOf(name as keyof typeof templates, new Map()) !== null)
  expect(bare).toEqual(['gpt-oss'])
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
    ['qwen 3 coder', `So.\n${coder('<parameter=city>\nSfax\n</parameter>\n<parameter=days>\n2\n</parameter>')}`, 'So.\n', [call]],
    ['qwen 3 coder', coder('<parameter=city>\n2\n</parameter>'), '', [{ name: 'weather', arguments: { city: '2' } }]],
    ['qwen 3 coder', coder('<parameter=city>\n a\n b \n</parameter>'), '', [{ name: 'weather', arguments: { city: ' a\n b ' } }]],
    [
      'qwen 3 coder',
      `${coder('')}\n${coder('').replace('weather', 'time')}`,
      '',
      [
        { ...call, arguments: {} },
        { name: 'time', arguments: {} },
      ],
    ],
    // what stands outside of parameters is no part of a call
    ['qwen 3 coder', coder('hello'), coder('hello'), []],
    ['qwen 3 coder', coder('{"city": "Sfax"}'), coder('{"city": "Sfax"}'), []],
    ...['hello\n<parameter=city>\na\n</parameter>', '<parameter=city>\na\n</parameter>\nhello\n<parameter=days>\n2\n</parameter>'].map(
      (inside) => ['qwen 3 coder', coder(inside), coder(inside), []] as const,
    ),
    [
      'deepseek',
      fence('weather').replace('<｜tool▁call▁begin｜>', 'hello$&'),
      fence('weather').replace('<｜tool▁call▁begin｜>', 'hello$&'),
      [],
    ],
    ['qwen 3 coder', '<tool_call>\n<function=weather>\n<param', '<tool_call>\n<function=weather>\n<param', []],
    ['deepseek', `Hm.${fence('weather')}`, 'Hm.', [call]],
    ['deepseek', fence('weather', 'time'), '', [call, { ...call, name: 'time' }]],
    [
      'deepseek since 3.1',
      `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>${JSON.stringify(call.arguments)}<｜tool▁call▁end｜>`,
      '',
      [call],
    ],
    [
      'deepseek',
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"ci',
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"ci',
      [],
    ],
    ['gpt-oss', '<|channel|>analysis<|message|>Rain?<|end|><|start|>assistant<|channel|>final<|message|>It rains.', 'It rains.', []],
    [
      'gpt-oss',
      `<|channel|>analysis<|message|>Ask.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>${JSON.stringify(call.arguments)}`,
      '',
      [call],
    ],
    ['gpt-oss', ` to=functions.weather<|channel|>commentary json<|message|>${JSON.stringify(call.arguments)}<|call|>`, '', [call]],
    [
      'gpt-oss',
      `<|channel|>commentary<|message|>I ask twice.<|end|><|start|>assistant to=functions.time<|channel|>commentary json<|message|>{}<|call|><|start|>assistant to=functions.weather<|channel|>commentary json<|message|>${JSON.stringify(call.arguments)}`,
      'I ask twice.',
      [{ name: 'time', arguments: {} }, call],
    ],
    ['gpt-oss', '<|channel|>commentary to=functions.weather<|message|>{"ci', '{"ci', []],
    // a call of a tool that takes nothing, with a body of nothing
    ['gpt-oss', '<|channel|>commentary to=functions.time<|message|><|call|>', '', [{ name: 'time', arguments: {} }]],
    ['gpt-oss', ' to=functions.time<|channel|>commentary json<|message|>\n', '', [{ name: 'time', arguments: {} }]],
    // a call that can't be read stands where it was written
    [
      'gpt-oss',
      '<|channel|>commentary to=functions.time<|message|>{"ci<|call|><|start|>assistant<|channel|>final<|message|>late<|end|>',
      '{"cilate',
      [],
    ],
    // text outside of messages
    ['gpt-oss', '<|channel|>final<|message|>Hello<|end|>more text', 'Hellomore text', []],
    ['gpt-oss', 'Hello<|end|>more text', 'Hello<|end|>more text', []],
    ['gpt-oss', '<|message|>a<|end|> b <|start|>assistant<|channel|>final<|message|>c', 'a b c', []],
    ['gpt-oss', '<|message|>a<|end|>assistant<|channel|>final<|message|>c<|end|>\n', 'ac', []],
    ['gpt-oss', '<|message|>a<|end|> b <|start|>assis', 'a b ', []],
    ['gpt-oss', '<|message|>a<|start|>assistant', 'a', []],
    ['gpt-oss', '<|message|>a<|end|> to=functions.time<|channel|>comm', 'a', []],
    // dynamo#10366: a call in the channel of thoughts
    ['gpt-oss', '<|channel|>analysis to=functions.time code<|message|>{}', '', [{ name: 'time', arguments: {} }]],
    // macprovider#743, imp#768, mlx-lm#1867
    ['gpt-oss', '<|channel|>analysis<|message|>One word.<|end|><|start|>assistant<|channel|>final<|message|>four', 'four', []],
    // mlx-lm#1310, #1330, #1604: a value that is not what the schema says stays the text that it is
    ['qwen 3 coder', coder('<parameter=days>\n2026-01-15\n</parameter>'), '', [{ name: 'weather', arguments: { days: '2026-01-15' } }]],
    // atlas#73, maclocal-api#38: values as Python writes them
    [
      'qwen 3 coder',
      coder('<parameter=windy>\nTrue\n</parameter>\n<parameter=days>None</parameter>'),
      '',
      [{ name: 'weather', arguments: { windy: true, days: null } }],
    ],
    // Rapid-MLX#1552, ollama#18563: marks within a value
    [
      'qwen 3 coder',
      coder('<parameter=city>\nif (a < b && c) </parameter> <p>\n</parameter>\n<parameter=days>\n3\n</parameter>'),
      '',
      [{ name: 'weather', arguments: { city: 'if (a < b && c) </parameter> <p>', days: 3 } }],
    ],
    ['gpt-oss', 'It rains <|ever', 'It rains <|ever', []],
    ['gpt-oss', '<|channel|>final<|message|>a <| b <|en', 'a <| b <|en', []],
  ] as const)('%s: %s', (format, text, content, calls) => {
    for (const size of [1, 3, 1000]) expect(read(format, text, size)).toEqual({ content, calls })
  })

  const optional = { anyOf: [string, { type: 'null' }] }
  const either = { oneOf: [string, { type: 'integer' }] }
  it.each([
    // pydantic's Optional[str]
    [optional, '90210', '90210'],
    [optional, 'true', 'true'],
    [optional, '{"a": 1}', '{"a": 1}'],
    [optional, 'None', null],
    [{ type: ['string', 'null'] }, '90210', '90210'],
    [{ type: ['string', 'null'] }, 'null', null],
    [either, '5', 5],
    [either, '5.5', '5.5'],
    [either, 'five', 'five'],
    [{ enum: ['1', '2'] }, '1', '1'],
    [{ enum: ['a', 'b'] }, 'true', 'true'],
    [{ enum: ['1', 1] }, '1', '1'],
    [{ enum: [1, 2] }, '1', 1],
    [{ const: '1' }, '1', '1'],
    [{ anyOf: [{ type: 'integer' }, { const: 'auto' }] }, '5', 5],
    [{ allOf: [{ type: ['string', 'integer'] }, { minLength: 1 }, string] }, '5', '5'],
    [{ anyOf: [{ $ref: '#/$defs/Size' }, { type: 'null' }] }, '1', '1'],
    [{ $ref: '#/$defs/Tree' }, '1', 1],
    [{ type: 'number' }, '5', 5],
    [{ type: 'number' }, 'NaN', 'NaN'],
    [{ type: 'array' }, '[1, "b"]', [1, 'b']],
    [{ properties: {} }, '{"a": 1}', { a: 1 }],
    [{ type: 'integer' }, '1, 2', '1, 2'],
    [{ type: 'integer' }, '', ''],
    // nothing is said
    [{ description: 'where' }, '90210', '90210'],
    [{ anyOf: [string, {}] }, '90210', '90210'],
    [true, '90210', '90210'],
  ])('a value under %j: %s', (city, written, value) => {
    const $defs = { Size: { enum: ['1', '2'] }, Tree: { anyOf: [{ type: 'integer' }, { $ref: '#/$defs/Tree' }, { $ref: '#/$defs/Tree' }] } }
    const tools = new Map<string, unknown>([['weather', { type: 'object', properties: { city }, $defs }]])
    const answer = coder(`<parameter=city>\n${written}\n</parameter>`)
    expect(read('qwen 3 coder', answer, 1000, tools)).toEqual({ content: '', calls: [{ name: 'weather', arguments: { city: value } }] })
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
    const tools = readerOf('hermes')!
    expect([tools.push('It '), tools.push('rains <to'), tools.push('day>')]).toEqual(['It ', 'rains ', '<today>'])
  })

  it('in channels: a call that can’t be read goes on at once', () => {
    const tools = readerOf('gpt-oss')!
    const pieces = [
      '<|channel|>commentary to=functions.time<|message|>{"ci',
      '<|call|>',
      '<|start|>assistant<|channel|>final<|message|>late',
    ]
    expect(pieces.map((piece) => tools.push(piece))).toEqual(['', '{"ci', 'late'])
    expect(tools.end()).toEqual({ text: '', calls: [] })
  })

  it('has the arguments’ numbers as the model wrote them', () => {
    const tools = readerOf('hermes')!
    tools.push('<tool_call>{"name": "weather", "arguments": {"t": 20.0, "id": 12345678901234567890}}</tool_call>')
    const [one] = tools.end().calls
    expect(one!.arguments).toBe('{"t": 20.0, "id": 12345678901234567890}')
    const number = { type: 'number' }
    const xml = readerOf('qwen 3 coder', new Map([['weather', { properties: { t: number, id: number } }]]))!
    xml.push(coder('<parameter=t>\n20.0\n</parameter>\n<parameter=id>\n12345678901234567890\n</parameter>'))
    expect(xml.end().calls[0]!.arguments).toBe('{"t": 20.0, "id": 12345678901234567890}')
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
