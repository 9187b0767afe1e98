import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { alpacaPrompt } from '../../src/data/alpaca.ts'
import { Dataset } from '../../src/data/dataset.ts'
import type { Example } from '../../src/data/example.ts'
import type { Row } from '../../src/data/files.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import { recorded, tokenizerOf } from '../text/fixtures.ts'

interface Case {
  tokenizer: string
  options: Record<string, unknown>
  rows: Row[]
  expected: { ids: number[]; targets: number[]; lengths?: number[] }[]
}

/** TRL's settings by our names */
function optionsOf({ eos_token, ...options }: Record<string, unknown>): PrepareOptions {
  const camel = (key: string) => key.replace(/_(\w)/g, (_, c: string) => c.toUpperCase())
  return { maxLength: 1024, ...Object.fromEntries(Object.entries(options).map(([key, value]) => [camel(key), value])) }
}

const lengths = ({ ids, starts }: Example) => starts && Array.from(starts, (start, i) => (starts[i + 1] ?? ids.length) - start)

const plain = (e: Example) => ({ ids: [...e.ids], targets: [...e.targets], ...(e.starts && { lengths: lengths(e) }) })

describe('examples as TRL’s SFTTrainer prepares them', () => {
  const names = readdirSync(join(import.meta.dirname, '../fixtures/data/rows')).map((file) => file.replace('.json', ''))

  test.each(names)('%s', async (name) => {
    const { tokenizer, options, rows, expected } = recorded<Case>(`rows/${name}.json`)
    const { examples } = await prepare(
      new Dataset(rows),
      tokenizerOf(tokenizer, { eosToken: options.eos_token as string | undefined }),
      optionsOf(options),
    )
    expect(examples.map(plain)).toEqual(expected)
  })
})

const tokenizer = tokenizerOf('smollm-like')
const decoded = (e: Example) => tokenizer.decode([...e.ids])
const learned = (e: Example) => tokenizer.decode([...e.ids].filter((_, i) => e.targets[i]))

describe('shapes of our own', () => {
  const alpaca = [
    { instruction: 'name a colour', input: '', output: 'red' },
    { instruction: 'add', input: '1 2', output: '3' },
  ]

  test('Alpaca: one wording, EOS behind it, every token a target', async () => {
    const { examples, shape } = await prepare(new Dataset(alpaca), tokenizer)
    expect(shape).toBe('alpaca')
    expect(decoded(examples[1]!)).toBe(`${alpacaPrompt('add', '1 2')}3<|im_end|>`)
    expect(learned(examples[0]!)).toBe(decoded(examples[0]!))
  })

  test('Alpaca with completionOnlyLoss: the answer alone', async () => {
    const { examples } = await prepare(new Dataset(alpaca), tokenizer, { completionOnlyLoss: true })
    expect(examples.map(learned)).toEqual(['red<|im_end|>', '3<|im_end|>'])
  })

  test('ShareGPT: its names of roles, a system prompt, calls of functions', async () => {
    const conversations = [
      { from: 'human', value: 'weather?' },
      { from: 'function_call', value: '{"name": "weather", "arguments": {"city": "Paris"}}' },
      { from: 'observation', value: '20' },
      { from: 'gpt', value: 'mild' },
    ]
    const rows = [{ conversations, system: 'be terse', tools: '[{"name": "weather"}]' }]
    const { examples } = await prepare(new Dataset(rows), tokenizer, { assistantOnlyLoss: true })
    const call = {
      role: 'assistant',
      content: '',
      tool_calls: [{ type: 'function', function: { name: 'weather', arguments: { city: 'Paris' } } }],
    }
    const messages = [
      { role: 'system', content: 'be terse' },
      { role: 'user', content: 'weather?' },
      call,
      { role: 'tool', content: '20' },
      { role: 'assistant', content: 'mild' },
    ]
    expect(decoded(examples[0]!)).toBe(tokenizer.applyChatTemplate(messages, { tools: [{ name: 'weather' }] }).text)
    expect(learned(examples[0]!)).toBe('<call>{"name": "weather", "arguments": {"city": "Paris"}}</call><|im_end|>mild<|im_end|>')
  })

  test('conversations of role and content are messages', async () => {
    const rows = [
      {
        conversations: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
        ],
      },
    ]
    const { examples } = await prepare(new Dataset(rows), tokenizer)
    expect(decoded(examples[0]!)).toBe('<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n')
  })

  test('a formatting function makes the text', async () => {
    const { examples } = await prepare(new Dataset([{ a: 1 }]), tokenizer, { formattingFunc: (row) => `a is ${row.a}` })
    expect(decoded(examples[0]!)).toBe('a is 1<|im_end|>')
  })
})

describe('rows that teach nothing', () => {
  test('are left out, counted and named', async () => {
    const rows = [
      { prompt: 'x '.repeat(40), completion: 'y' },
      { prompt: 'x', completion: 'y' },
    ]
    const { examples, unused } = await prepare(new Dataset(rows, 'rows.json'), tokenizer, { maxLength: 10 })
    expect(examples.map((e) => e.row)).toEqual([2])
    expect(unused).toHaveLength(1)
    expect(unused[0]).toMatch(/^rows\.json, row 1: no target is left of its \d+ tokens after cutting to 10$/)
  })

  test('a data set without a target is refused', async () => {
    const rows = [{ messages: [{ role: 'user', content: 'hi' }] }]
    await expect(prepare(new Dataset(rows, 'chats.json'), tokenizer, { assistantOnlyLoss: true })).rejects.toThrow(
      /chats\.json: no row has a token to learn\. For one, chats\.json, row 1: no token is a target/,
    )
    await expect(prepare(new Dataset([{ input_ids: [5], labels: [5] }]), tokenizer)).rejects.toThrow(/no row has a token to learn/)
    await expect(prepare(new Dataset([], 'empty.json'), tokenizer)).rejects.toThrow(/empty\.json has no rows/)
  })
})

describe('rows and settings that can’t be used', () => {
  const cases: [string, Row[], PrepareOptions, RegExp][] = [
    [
      'columns',
      [{ q: 1, a: 2 }],
      {},
      /rows\.json has the columns q, a, .*prompt \+ completion; messages; conversations; text; instruction \+ output/,
    ],
    [
      'a column misspelt',
      [{ promt: 'a', completion: 'b' }],
      {},
      /has the columns promt, completion, .*: is promt prompt\? Understood are input_ids; prompt \+ completion; .*\. Rename them, or name/,
    ],
    ['columns misspelt', [{ Instruction: 'a', Output: 'b' }], {}, /: is Instruction instruction\? is Output output\? Understood are /],
    ['a column in capitals', [{ Text: 'a' }], {}, /: is Text text\? Understood are /],
    ['names of another kind: input', [{ input: 'a', output: 'b' }], {}, /not rows to train on\. Understood are /],
    ['names of another kind: ext', [{ code: 'a', ext: 'b' }], {}, /not rows to train on\. Understood are /],
    ['names of another kind: test', [{ code: 'a', test: 'b' }], {}, /not rows to train on\. Understood are /],
    ['a list of messages in the singular', [{ conversation: [] }], {}, /is conversation conversations\?/],
    ['a pair misspelt', [{ prompt: 'a', choosen: 'b', rejected: 'c' }], {}, /is choosen chosen\?/],
    ['preferences', [{ prompt: 'a', chosen: 'b', rejected: 'c' }], {}, /holds preferences \(chosen, rejected\)/],
    ['missing text', [{ text: 'a' }, {}], {}, /rows\.json, row 2: text must be a text, it is missing/],
    ['wrong type', [{ instruction: 'a', output: 3 }], {}, /row 1: output must be a text, it is 3/],
    [
      'mixed prompts',
      [{ prompt: [{ role: 'user', content: 'a' }], completion: 'b' }],
      {},
      /row 1: completion must be a list of messages, it is "b"/,
    ],
    [
      'shapes mixed',
      [{ messages: [{ role: 'user', content: 'a' }] }, { prompt: 'a', completion: 'b' }],
      {},
      /row 1: the row is one of messages.*, and the data set's columns are those of prompt and completion.*a file of their own/,
    ],
    ['no role', [{ messages: [{ content: 'a' }] }], {}, /row 1: messages\[0\] has no role\. Correct/],
    ['a role of null', [{ messages: [{ role: null, content: 'a' }] }], {}, /messages\[0\] has no role: it is null/],
    [
      'who speaks under another key',
      [{ conversations: [{ speaker: 'human', value: 'a' }] }],
      {},
      /conversations\[0\] has no role; it has speaker: rename the key that says who speaks to role/,
    ],
    ['no message', [{ messages: [] }], {}, /row 1: messages must be a list of messages, it is \[\]/],
    [
      'template',
      [{ messages: [{ role: 'fail', content: '' }] }],
      {},
      /row 1: the chat template does not take the messages \(at message 1\): roles must be/,
    ],
    ['tools', [{ messages: [{ role: 'user', content: 'a' }], tools: '{' }], {}, /row 1: tools, column 2 is not valid JSON/],
    [
      'tools as texts',
      [{ messages: [{ role: 'user', content: 'a' }], tools: ['{"name": "f"}'] }],
      {},
      /row 1: tools\[0\] must be the JSON schema of a function, it is .*as one text that holds it/,
    ],
    ['no call', [{ conversations: [{ from: 'function_call', value: '[]' }] }], {}, /row 1: conversations\[0\] must be a function call/],
    [
      'role',
      [
        {
          messages: [
            { role: 'user', content: 'a' },
            { role: 'narrator', content: 'b' },
          ],
        },
      ],
      {},
      /row 1: message 2 has the role "narrator", which the model's chat template does not know\. Rename it/,
    ],
    ['token ids', [{ input_ids: [1e6] }], {}, /row 1: input_ids holds 1000000, which is no token/],
    ['labels', [{ input_ids: [5, 6], labels: [5] }], {}, /row 1: labels is not as long as input_ids/],
    ['assistant of text', [{ text: 'a' }], { assistantOnlyLoss: true }, /assistantOnlyLoss needs conversations; rows\.json holds text/],
    ['packing', [{ text: 'a' }], { packing: true }, /packing needs maxLength/],
    ['strategy', [{ text: 'a' }], { packing: true, maxLength: 8, packingStrategy: 'ffd' as 'bfd' }, /packingStrategy ffd is not one of/],
    ['truncation', [{ text: 'a' }], { truncationMode: 'middle' as 'keep_end' }, /truncationMode middle is neither/],
    ['formatting', [{ text: 'a' }], { formattingFunc: () => '', completionOnlyLoss: true }, /formattingFunc makes one text/],
  ]
  test.each(cases)('%s', async (_, rows, options, message) => {
    await expect(prepare(new Dataset(rows, 'rows.json'), tokenizer, options)).rejects.toThrow(message)
  })

  test('an abort stops', async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => ({ text: `row ${i} `.repeat(20) }))
    const signal = AbortSignal.timeout(1)
    await expect(prepare(new Dataset(rows), tokenizer, { signal })).rejects.toThrow(/timeout/)
  })
})

test('what is read and what is not is said', async () => {
  const { notes } = await prepare(new Dataset([{ text: 'a', id: 7, source: 'web' }], 'rows.json'), tokenizer)
  expect(notes).toEqual(['rows.json: 1 rows of text; not read: id, source'])
})

test('a prompt whose end merges with the completion is noted once', async () => {
  const rows = [
    { prompt: 'the fal', completion: 'con' },
    { prompt: 'the fal', completion: 'con' },
  ]
  const { notes } = await prepare(new Dataset(rows, 'rows.json'), tokenizer)
  expect(notes).toHaveLength(2)
  expect(notes[1]).toMatch(/^rows\.json, row 1: the end of the prompt, ".*fal"/)
})

describe('roles', () => {
  test.each([
    ['human', 'model'],
    ['Human', 'GPT'],
    ['user', 'bing'],
    ['USER', 'chatgpt'],
    ['prompter', 'gpt-4'],
    [' human ', 'ChatGPT-3.5'],
  ])('%s and %s are user and assistant, in conversations and in messages', async (user, assistant) => {
    const right = '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n'
    const sharegpt = { conversations: [{ from: user, value: 'a' }, { from: assistant, value: 'b' }] } // biome-ignore format: a row
    const openai = { messages: [{ role: user, content: 'a' }, { role: assistant, content: 'b' }] } // biome-ignore format: a row
    for (const row of [sharegpt, openai]) expect(decoded((await prepare(new Dataset([row]), tokenizer)).examples[0]!)).toBe(right)
  })

  test('a call, what it gave and the system go by several names', async () => {
    const call = '{"name": "w", "arguments": {"t": 20.0}}'
    const named = ([system, called, gave]: readonly string[]) => [
      { role: system, content: 's' },
      { role: called, content: call },
      { role: gave, content: '5' },
    ]
    const texts = []
    for (const names of [
      ['system', 'function_call', 'observation'],
      ['system_prompt', 'tool_call', 'tool_response'],
      ['developer', 'function call', 'function_response'],
    ]) {
      texts.push(decoded((await prepare(new Dataset([{ messages: named(names) }]), tokenizer)).examples[0]!))
    }
    expect(texts[0]).toContain(`<call>${call}</call>`)
    expect(texts[0]).toContain('<|im_start|>system\ns<|im_end|>')
    expect(texts[0]).toContain('<|im_start|>tool\n5<|im_end|>')
    expect(new Set(texts).size).toBe(1)
  })

  test('a role that the template names stays what it is', async () => {
    const chatTemplate = "{% for m in messages %}{% if m.role == 'critic' %}C{% endif %}{{ m.content }}{% endfor %}"
    const rows = [{ messages: [{ role: 'critic', content: 'x' }] }]
    expect(decoded((await prepare(new Dataset(rows), tokenizerOf('smollm-like', { chatTemplate }))).examples[0]!)).toBe('Cx')
  })
})

test('a row that begins with the beginning of a text twice is told', async () => {
  const tokenizer = tokenizerOf('llama2-like')
  const { notes } = await prepare(new Dataset([{ text: 'once' }, { text: '<s>once' }], 'rows.json'), tokenizer)
  expect(notes.filter((note) => note.includes('twice'))).toEqual([
    expect.stringMatching(/^rows\.json, row 2: the row begins with <s> twice: it stands in the text, and the tokenizer puts it before/),
  ])
})

describe('what a template leaves out of a row', () => {
  const user = { role: 'user', content: 'Rain?' }
  const call = { type: 'function', function: { name: 'weather', arguments: { city: 'Paris' } } }
  const run = (chatTemplate: string, messages: object[], tools?: object[]) =>
    prepare(new Dataset([{ messages, ...(tools && { tools }) }]), tokenizerOf('smollm-like', { chatTemplate }), { maxLength: 1024 })
  const only = (...roles: string[]) =>
    `{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.role in ${JSON.stringify(roles)} %}{{ m.content }}{% endif %}{% endfor %}`

  test('a turn is named with its number and role', async () => {
    const messages = [user, { role: 'tool', content: '5' }, { role: 'assistant', content: '5' }]
    await expect(run(only('user', 'assistant'), messages)).rejects.toMatchObject({
      code: 'DATA_TEMPLATE',
      message:
        'rows, row 1: the model\'s chat template leaves out message 2, whose role is "tool". Give one that knows the role (chatTemplate), rename the role, or remove the message.',
    })
    expect((await run(only('user', 'assistant', 'tool'), messages)).examples).toHaveLength(1)
  })

  test.each([
    [
      'through variables, fields and macros',
      "{% macro say(m, text) %}{% set t = text | trim %}{{ '<' ~ t ~ '>' }}{% endmacro %}{% set ns = namespace(sys='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.sys = m.content %}{% else %}{% set c = m['content'] %}{{ ns.sys }}{{ say(m, c) }}{% endif %}{% endfor %}",
    ],
    ['as JSON, whole', '{% for m in messages %}{{ m | tojson }}{% endfor %}'],
    [
      'by items and get',
      "{% for m in messages %}{% for k, v in m.items() %}{{ v if k == 'content' }}{% endfor %}{{ m.get('content') }}{% endfor %}",
    ],
    ['without its reasoning', "{% for m in messages %}{{ m.content.split('</think>')[-1].lstrip() }}{% endfor %}"],
    ['by a filter', "{{ messages | map(attribute='content') | join(' ') }}"],
  ])('a turn that is told %s is there', async (_, template) => {
    const messages = [{ role: 'system', content: 'terse' }, user, { role: 'assistant', content: '<think>x</think>\n\nNo' }]
    expect((await run(template, messages)).examples).toHaveLength(1)
  })

  test('a condition on a message tells nothing of it', async () => {
    const template =
      "{% for m in messages %}{% if m.content == 'Rain?' %}yes{% endif %}{% set long = m.content | length > 3 %}{{ 'x' if long }}{% endfor %}"
    await expect(run(template, [user])).rejects.toThrow(/leaves out message 1, whose role is "user"/)
  })

  test.each([
    [
      'lists put together',
      "{% set all = [{'role': 'system', 'content': 's'}] + messages[:1] + messages[1:] %}{% for m in all %}{{ m.role }}{% if m.role != 'tool' %}{{ m.content }}{% endif %}{% endfor %}",
    ],
    [
      'filters that pass messages on',
      "{% set us = messages | selectattr('role', 'ne', 'x') | list %}{{ (us | last).role }}{{ (messages | first).role }}{% for m in us | sort(attribute='role') %}{% if m.role != 'tool' %}{{ m.content }}{% endif %}{% endfor %}",
    ],
  ])('%s tell nothing of a message by themselves', async (_, template) => {
    await expect(run(template, [user, { role: 'tool', content: '5' }])).rejects.toThrow(/leaves out message 2, whose role is "tool"/)
    expect((await run(template, [user, { role: 'assistant', content: '5' }])).examples).toHaveLength(1)
  })

  test('text beside calls, and tools that are not printed, are noted', async () => {
    const calls = '{% for m in messages %}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% else %}{{ m.content }}{% endif %}{% endfor %}'
    const { notes } = await run(calls, [user, { role: 'assistant', content: 'Let me see', tool_calls: [call] }])
    expect(notes[1]).toMatch(/^rows, row 1: .*prints a message's tool calls without the text beside them/)
    const tools = await run('{% for m in messages %}{{ m.content }}{% endfor %}', [user], [{ name: 'w' }])
    expect(tools.notes[1]).toMatch(/row 1: .*does not print the tools/)
  })

  test('the row is rendered with its own messages alone', async () => {
    // a template that refuses messages without calls and contents: nothing else is ever asked of it
    const template =
      "{% for m in messages %}{% if m.role == 'assistant' and not m.tool_calls %}{{ raise_exception('no calls') }}{% endif %}{{ m.content }}{{ m.tool_calls | default('') }}{% endfor %}"
    expect((await run(template, [user, { role: 'assistant', content: null, tool_calls: [call] }])).examples).toHaveLength(1)
  })
})

test('a template that leaves tool calls out is named instead of training empty answers', async () => {
  const called = { type: 'function', function: { name: 'weather', arguments: { city: 'Paris' } } }
  const messages = [
    { role: 'user', content: 'Rain?' },
    { role: 'assistant', content: '', tool_calls: [called] },
  ]
  const template = (extra: string) => `{% for m in messages %}{{ m.role }}: {{ m.content }}${extra}{% endfor %}`
  const run = (chatTemplate: string) =>
    prepare(new Dataset([{ messages }]), tokenizerOf('smollm-like', { chatTemplate }), { maxLength: 1024 })
  await expect(run(template(''))).rejects.toMatchObject({ code: 'DATA_TEMPLATE', message: expect.stringContaining('tool calls') })
  expect((await run(template('{{ m.tool_calls | default([]) | tojson }}'))).examples).toHaveLength(1)
})
