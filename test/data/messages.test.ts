/** Messages as people's files have them: what is taken for what, and what is refused instead of being trained as an empty turn. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Dataset } from '../../src/data/dataset.ts'
import type { Row } from '../../src/data/files.ts'
import { loadDataset } from '../../src/data/load.ts'
import { type PrepareOptions, prepare } from '../../src/data/prepare.ts'
import type { Tokenizer } from '../../src/text/tokenizer.ts'
import { tokenizerOf } from '../text/fixtures.ts'

const chatml = tokenizerOf('smollm-like')
const withTemplate = (chatTemplate: string) => tokenizerOf('smollm-like', { chatTemplate })

async function run(row: Row, { tokenizer = chatml, ...options }: PrepareOptions & { tokenizer?: Tokenizer } = {}) {
  const { examples, notes, warnings } = await prepare(new Dataset([row], 'rows.jsonl'), tokenizer, options)
  const [{ ids, targets }] = examples as [(typeof examples)[number]]
  return {
    text: tokenizer.decode(ids),
    learned: tokenizer.decode([...ids].filter((_, i) => targets[i])),
    notes: notes.slice(1),
    warnings,
  }
}

const q = { role: 'user', content: 'q' }
const answer = (message: object) => ({ messages: [q, { role: 'assistant', ...message }] })
const call = (name: string) => ({ type: 'function', function: { name, arguments: { x: 1 } } })
/** prints texts and parts, calls, results and reasoning */
const full = withTemplate(
  "{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.reasoning_content %}{{ '(' + m.reasoning_content + ')' }}{% endif %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content or [] %}{{ p if p is string else p.text }}{% endfor %}{% endif %}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}",
)
/** takes every content for a text */
const textOnly = withTemplate("{% for m in messages %}{{ '[' + m.role + ']' }}{{ m.content | trim }}{% endfor %}")

describe('a message that says nothing where templates read is refused', () => {
  test.each<[string, Row, RegExp]>([
    ['text', answer({ text: 'a' }), /^rows\.jsonl, row 1: messages\[1\] has no content; its words seem to stand under "text".*rename it/],
    ['contents', answer({ contents: 'a' }), /under "contents"/],
    ['any other key', answer({ name: 'Bob', words: 'a' }), /under "words"/],
    ['refusal', answer({ content: null, refusal: 'no' }), /under "refusal"/],
    ['text beside an empty content', answer({ content: '', text: 'a' }), /under "text"/],
    [
      'ShareGPT’s text',
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', text: 'a' },
        ],
      },
      /conversations\[1\] .*"text"/,
    ],
    [
      'value null',
      {
        conversations: [
          { from: 'human', value: 'q' },
          { from: 'gpt', value: null },
        ],
      },
      /\[1\] has no content, it is null: write ""/,
    ],
    ['content null', answer({ content: null }), /has no content, it is null/],
    ['no calls', answer({ content: null, tool_calls: [] }), /has no content, it is null/],
    ['no parts', answer({ content: [] }), /has no content, it is \[\]/],
    ['NaN', answer({ content: Number.NaN }), /has no content, it is NaN/],
    ['two contents', { conversations: [{ from: 'human', value: 'a', content: 'b' }] }, /has two contents, value "a" and content "b"/],
    [
      'two roles',
      { conversations: [{ from: 'human', role: 'assistant', value: 'a' }] },
      /has two roles, from "human" and role "assistant"/,
    ],
    ['a number', answer({ content: 5 }), /messages\[1\]\.content must be a text, or a list of parts like .* it is 5/],
    ['true', answer({ content: true }), /content must be a text, .* it is true/],
    ['an object', answer({ content: { text: 'a' } }), /content must be a text, .* it is \{"text":"a"\}/],
    ['a part under another key', answer({ content: [{ type: 'text', content: 'a' }] }), /content\[0\] has no text: a part must be like/],
    [
      'an image',
      answer({
        content: [
          { type: 'image_url', image_url: { url: 'x' } },
          { type: 'text', text: 'a' },
        ],
      }),
      /content\[0\] is no text but "image_url", and only text/,
    ],
    ['an image without type', answer({ content: [{ image: 'x' }] }), /content\[0\] is no text but "image"/],
    ['images beside the text', answer({ content: '<image>', images: ['x.png'] }), /messages\[1\] holds "images", and only text/],
    ['calls that are no list', answer({ tool_calls: call('f') }), /messages\[1\]\.tool_calls must be a list of calls, it is \{"type"/],
    ['calls that are broken JSON', answer({ tool_calls: '[{' }), /messages\[1\]\.tool_calls, .*is not valid JSON/],
    ['a call that is a text', answer({ tool_calls: ['f()'] }), /tool_calls\[0\] must be an object, it is "f\(\)"/],
    ['a call without a name', answer({ function_call: { arguments: '{}' } }), /function_call must be a function call/],
    ['both kinds of calls', answer({ tool_calls: [call('f')], function_call: { name: 'f' } }), /has both tool_calls and function_call/],
    ['a system that is no text', { conversations: [q], system: ['S'] }, /row 1: system must be a text, it is \["S"\]/],
    [
      'variables that are no object',
      { messages: [q], chat_template_kwargs: '[1]' },
      /row 1: chat_template_kwargs must be an object .* it is \[1\]/,
    ],
    ['variables that are broken JSON', { messages: [q], chat_template_kwargs: '{' }, /row 1: chat_template_kwargs, .*is not valid JSON/],
  ])('%s', async (_, row, message) => {
    await expect(run(row)).rejects.toMatchObject({
      code: expect.stringMatching(/DATA_ROW|FORMAT_JSON/),
      message: expect.stringMatching(message),
    })
  })

  test('an empty text is the row’s own word', async () => {
    expect((await run({ messages: [{ role: 'system', content: '' }, q] }, { tokenizer: full })).text).toBe('[system][user]q')
  })

  test('keys that are null are no keys, of messages and of parts', async () => {
    const nothing = { from: null, value: null, images: [], tool_calls: null, function_call: null, weight: null }
    const row = { messages: [{ ...nothing, role: 'user', content: [{ type: 'text', text: 'q', image: null, profile: 'x' }] }] }
    const images =
      "{% for m in messages %}{% for p in m.content %}{{ '<image>' if 'image' in p else p.text }}{% endfor %}{{ m.tool_calls is defined }}{% endfor %}"
    expect((await run(row, { tokenizer: withTemplate(images) })).text).toBe('qFalse')
  })
})

describe('what a message means by other names is taken', () => {
  test('function_call and the role function, as OpenAI’s rows had them', async () => {
    const old = [q, { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"x": 20.0}' } }, { role: 'function', name: 'f', content: 'r' }] // biome-ignore format: a row
    expect((await run({ messages: old }, { tokenizer: full })).text).toBe('[user]q[assistant]f{"x": 20.0}[tool]r')
    const last = answer({ content: '', function_call: { name: 'f', arguments: '{}' } })
    expect((await run(last, { tokenizer: full })).text).toBe('[user]q[assistant]f{}')
  })

  test('calls as JSON, as Parquet keeps them', async () => {
    const { text } = await run(answer({ content: '', tool_calls: JSON.stringify([call('f'), call('g')]) }), { tokenizer: full })
    expect(text).toBe('[user]q[assistant]f{"x": 1}g{"x": 1}')
    expect((await run(answer({ content: 'a', tool_calls: '' }), { tokenizer: full })).text).toBe('[user]q[assistant]a')
  })

  test('a whole conversation as JSON, as cells of CSV keep it', async () => {
    const { messages } = answer({ content: 'a' })
    const own = await run({ messages })
    expect(await run({ messages: JSON.stringify(messages) })).toEqual(own)
    const conversations = '[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]'
    expect((await run({ conversations })).text).toBe(own.text)
    await expect(run({ messages: "[{'role': 'user'}]" })).rejects.toThrow(/rows\.jsonl, row 1: messages.* is not valid JSON/)
    await expect(run({ messages: 'q' })).rejects.toThrow(/row 1: messages must be a list of messages, it is "q"/)
  })

  test('variables of the template as JSON', async () => {
    const tokenizer = withTemplate('{{ messages[0].content }}{{ n }}')
    expect((await run({ messages: [q], chat_template_kwargs: '{"n": 2.0}' }, { tokenizer })).text).toBe('q2.0')
    expect((await run({ messages: [q], chat_template_kwargs: null }, { tokenizer: full })).text).toBe('[user]q')
  })

  test('an input of NaN is none', async () => {
    const { text } = await run({ instruction: 'i', input: Number.NaN, output: 'o' })
    expect(text).toBe((await run({ instruction: 'i', input: '', output: 'o' })).text)
    await expect(run({ instruction: 'i', output: Number.NaN })).rejects.toThrow(/output must be a text, it is NaN/)
  })

  test('reasoning alone is a turn where the template prints it', async () => {
    const row = answer({ content: '', reasoning_content: 'because' })
    expect((await run(row, { tokenizer: full })).text).toBe('[user]q[assistant](because)')
    await expect(run(row, { tokenizer: textOnly })).rejects.toThrow(
      /leaves out message 2, which holds reasoning alone\. Give one that prints/,
    )
  })
})

describe('the form of a content', () => {
  const parts = (...texts: string[]) => answer({ content: texts.map((text) => ({ type: 'text', text })) })
  const stringsOnly = withTemplate("{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% endfor %}")
  const silent = withTemplate("{% for m in messages %}{{ '[' + m.role + ']' }}{{ m.content if m.content is string }}{% endfor %}")

  test.each([
    ['would print Python’s list', textOnly],
    ['refuses a list', stringsOnly],
    ['passes over a list', silent],
  ])('a template that %s is given one part as its text; several are refused', async (_, tokenizer) => {
    const { text, notes } = await run(parts('a'), { tokenizer })
    expect(text).toBe('[user]q[assistant]a')
    expect(notes).toEqual([
      "rows.jsonl, row 1: the model's chat template takes a message's content as one text: a list of one text is given to it as that text",
    ])
    await expect(run(parts('a', 'b'), { tokenizer })).rejects.toMatchObject({
      code: 'DATA_TEMPLATE',
      message: expect.stringMatching(
        /takes a message's content as one text, and that of message 2 is a list of 2 parts\. Write it as one text/,
      ),
    })
    await expect(run(answer({ content: ['a', 'b'] }), { tokenizer })).rejects.toThrow(/that of message 2 is a list of 2 parts/)
  })

  test('a template that takes parts alone is given a text as one', async () => {
    const tokenizer = withTemplate(
      "{% for m in messages %}{{ '[' + m.role + ']' }}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}",
    )
    const same = { messages: [q, { role: 'assistant', content: 'q' }] }
    const { text, notes } = await run(same, { tokenizer })
    expect(text).toBe('[user]q[assistant]q')
    expect(notes[0]).toMatch(/a text is given to it as a list of one$/)
  })

  test('the prompt of a completion has the form of the whole', async () => {
    const row = { prompt: [{ role: 'user', content: [{ type: 'text', text: 'q' }] }], completion: [{ role: 'assistant', content: 'a' }] }
    expect(await run(row, { tokenizer: stringsOnly })).toMatchObject({ text: '[user]q[assistant]a', learned: '[assistant]a' })
  })

  test('every part must be printed', async () => {
    const first = withTemplate('{% for m in messages %}{{ m.content if m.content is string else m.content[0].text }}{% endfor %}')
    await expect(run(parts('a', 'b'), { tokenizer: first })).rejects.toThrow(
      /leaves out part 2 of message 2\. Write its content, a list of 2 parts, as one text/,
    )
    expect((await run(parts('a', ' '), { tokenizer: first })).text).toBe('qa')
    expect((await run(parts('a', 'b'), { tokenizer: full })).text).toBe('[user]q[assistant]ab')
  })

  test('what a tool gave may be an object, where it is printed as JSON', async () => {
    const row = { messages: [q, { role: 'tool', content: { t: 20.5, sky: "it's" } }] }
    const json = withTemplate('{% for m in messages %}{{ m.content if m.content is string else m.content | tojson }}{% endfor %}')
    expect((await run(row, { tokenizer: json })).text).toBe('q{"t": 20.5, "sky": "it\'s"}')
    const list = { messages: [q, { role: 'tool', content: [{ type: 'hotel' }, { type: 'inn' }] }] }
    expect((await run(list, { tokenizer: json })).text).toBe('q[{"type": "hotel"}, {"type": "inn"}]')
    const keys = withTemplate('{% for m in messages %}{{ m.content if m.content is string else m.content | join }}{% endfor %}')
    for (const tokenizer of [textOnly, keys])
      await expect(run(row, { tokenizer })).rejects.toThrow(/message 2 is an object, which it prints as Python writes it, or in part/)
  })
})

describe('every call must be printed', () => {
  const row = answer({ content: '', tool_calls: [call('f'), call('g')] })

  test.each([
    ['the first by its place', 'm.tool_calls[0]'],
    ['the first by a filter', '(m.tool_calls | first)'],
    ['the last', 'm.tool_calls[-1]'],
  ])('%s alone is not enough', async (_, which) => {
    const tokenizer = withTemplate(
      `{% for m in messages %}{{ m.content }}{% if m.tool_calls %}{% set c = ${which} %}{{ c.function.name }}{% endif %}{% endfor %}`,
    )
    const missing = which.includes('-1')
      ? /leaves out the tool calls of message 2/
      : /leaves out tool call 2 of message 2, which has 2\. Give one that prints all calls/
    await expect(run(row, { tokenizer })).rejects.toThrow(missing)
    expect((await run(answer({ content: '', tool_calls: [call('f')] }), { tokenizer })).text).toBe('qf')
  })

  test.each([
    ['whole', '{{ m.tool_calls | tojson }}'],
    ['in a loop', '{% for c in m.tool_calls %}{% set c = c.function if c.function is defined else c %}{{ c.name }}{% endfor %}'],
    ['by their attribute', "{{ m.tool_calls | map(attribute='function') | map(attribute='name') | join }}"],
    ['in a macro', '{% macro say(c) %}{{ c.function.name }}{% endmacro %}{% for c in m.tool_calls[:] %}{{ say(c) }}{% endfor %}'],
  ])('%s is enough', async (_, print) => {
    const tokenizer = withTemplate(`{% for m in messages %}{{ m.content }}{% if m.tool_calls %}${print}{% endif %}{% endfor %}`)
    expect((await run(row, { tokenizer })).text).toMatch(/f.*g/)
  })

  test('that a call is of a type tells nothing of it', async () => {
    const tokenizer = withTemplate(
      '{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.type }}{% endfor %}{% endfor %}',
    )
    await expect(run(row, { tokenizer })).rejects.toThrow(/leaves out the tool calls of message 2/)
  })

  test('arguments that are quoted twice are told', async () => {
    const text = answer({ content: '', tool_calls: [{ type: 'function', function: { name: 'f', arguments: '{"x": 1}' } }] })
    expect(await run(text, { tokenizer: full })).toMatchObject({
      text: '[user]q[assistant]f"{\\"x\\": 1}"',
      notes: [expect.stringMatching(/the arguments of tool calls are texts, which .* quotes once more .* write them as objects/)],
    })
    expect((await run(answer({ content: '', tool_calls: [call('f')] }), { tokenizer: full })).notes).toEqual([])
  })
})

describe('messages that say whether they are to be learned', () => {
  const turns = (bad: object, good: object = {}) => ({
    messages: [
      q,
      { role: 'assistant', content: 'bad', ...bad },
      { ...q, content: 'again' },
      { role: 'assistant', content: 'good', ...good },
    ],
  })

  test.each([
    { weight: 0 },
    { train: false },
    { training: false },
    { trainable: false },
    { loss: false },
    { loss_mask: 0 },
    { masked: true },
  ])('%j leaves a turn out of what is learned', async (mark) => {
    const { text, learned } = await run(turns(mark), { assistantOnlyLoss: true })
    expect(text).toContain('bad<|im_end|>')
    expect(learned).toBe('good<|im_end|>')
    await expect(run(turns(mark))).rejects.toThrow(/row 1: message 2 says .*, so it is not to be learned, .* Set assistantOnlyLoss to true/)
  })

  test.each([{ weight: 1 }, { train: true }, { masked: false }, { weight: null }])('%j leaves it in', async (mark) => {
    expect((await run(turns(mark), { assistantOnlyLoss: true })).learned).toBe('bad<|im_end|>good<|im_end|>')
    expect((await run(turns(mark))).learned).toContain('good')
  })

  test.each<[string, object, RegExp]>([
    ['half', { weight: 0.5 }, /message 2 says weight: 0\.5; a message is learned \(1, true\) or not \(0, false\), nothing between/],
    ['a text', { train: 'no' }, /message 2 says train: "no"/],
    ['both', { train: true, weight: 0 }, /says weight: 0 and train: true, which contradict each other/],
    [
      'parts of a turn',
      { train_detail: [{ begin_offset: 0, end_offset: 1, train: false }] },
      /message 2 has train_detail, which is not supported/,
    ],
  ])('%s is refused', async (_, mark, message) => {
    await expect(run(turns(mark), { assistantOnlyLoss: true })).rejects.toThrow(message)
  })

  test('a call of ShareGPT keeps its mark', async () => {
    const conversations = [{ from: 'human', value: 'q' }, { from: 'function_call', value: '{"name": "f", "arguments": {}}', weight: 0 }, { from: 'observation', value: 'r' }, { from: 'gpt', value: 'a' }] // biome-ignore format: a row
    expect((await run({ conversations }, { assistantOnlyLoss: true })).learned).toBe('a<|im_end|>')
  })

  test('the turns of a prompt are no targets anyway', async () => {
    const [user, bad, again, good] = turns({ weight: 0 }).messages
    const { learned } = await run({ prompt: [user, bad, again], completion: [good] })
    expect(learned).toContain('good')
    expect(learned).not.toContain('bad')
  })

  test('what a user’s mark would say is told', async () => {
    const marked = {
      messages: [
        { ...q, train: true },
        { role: 'assistant', content: 'a' },
      ],
    }
    const { notes, learned } = await run(marked, { assistantOnlyLoss: true })
    expect(learned).toBe('a<|im_end|>')
    expect(notes).toEqual(['rows.jsonl, row 1: a message of the user says train: true, and what the user says is not learned'])
  })

  test('turns that can’t be told apart are refused', async () => {
    const together = withTemplate('{% generation %}{% for m in messages %}{{ m.content }}{% endfor %}{% endgeneration %}')
    await expect(run(turns({ weight: 0 }), { tokenizer: together, assistantOnlyLoss: true })).rejects.toThrow(
      /not to be learned can not be told from the other messages/,
    )
    const ends = withTemplate(
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% generation %}{{ '!' }}{% endgeneration %}{% else %}{{ m.content + '\n' }}{% endif %}{% endfor %}",
    )
    expect((await run(turns({ weight: 0 }), { tokenizer: ends, assistantOnlyLoss: true })).learned).toBe('good!')
  })

  test('a column that says it of a row is named', async () => {
    const { warnings } = await run({ ...turns({}), loss_mask: [0, 0, 0, 1] })
    expect(warnings).toEqual([expect.stringMatching(/the column loss_mask is not read: it says what of a row is learned/)])
  })
})

describe('rows of other shapes', () => {
  test('labels of other tokens than the row’s are refused', async () => {
    await expect(run({ input_ids: [5, 6, 7], labels: [-100, 8, 9] })).rejects.toThrow(
      /row 1: labels\[1\] is 8 where input_ids has 6: a label is the token/,
    )
    expect((await run({ input_ids: [5, 6, 7], labels: [-100, 6, 7] })).learned).toBe(chatml.decode([6, 7]))
  })

  test('an object that is a row keeps its column data', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'saqr-rows-'))
    const load = async (value: unknown) => {
      writeFileSync(join(folder, 'rows.json'), JSON.stringify(value, null, 1))
      return (await loadDataset(join(folder, 'rows.json'))).rows
    }
    const row = { text: 'main', data: [{ text: 'inner' }] }
    expect(await load(row)).toEqual([row])
    expect(await load({ instruction: 'i', output: 'o', data: [] })).toHaveLength(1)
    expect(await load({ version: '1', data: [{ text: 'inner' }] })).toEqual([{ text: 'inner' }])
  })
})
