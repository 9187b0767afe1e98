/** Calls of tools in a text: how a model writes them is told by its template, and they are read as OpenAI writes them. */
import { describe, expect, it } from 'vitest'
import { answerForm } from '../../src/serve/tool-format.ts'
import { each, hermes, shown, templates, tokenizerOf } from './tool-templates.ts'

const string = { type: 'string' }
const schemas = new Map<string, unknown>([
  ['weather', { type: 'object', properties: { city: string, days: { type: 'integer' }, windy: { type: 'boolean' } } }],
  ['time', { type: 'object', properties: {} }],
])
const readerOf = (name: keyof typeof templates, tools = schemas) => answerForm(tokenizerOf(templates[name])).reader(tools)

const call = { name: 'weather', arguments: { city: 'Sfax', days: 2 } }

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
