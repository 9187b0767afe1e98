import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { alpacaPrompt } from '../../src/data/alpaca.ts'
import { Dataset } from '../../src/data/dataset.ts'
import { prepare } from '../../src/data/prepare.ts'
import { type PromptForm, promptIds, readPromptForm, writePromptForm } from '../../src/data/prompt-form.ts'
import type { Row } from '../../src/data/rows.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, tokenizerOf } from '../text/fixtures.ts'

const template =
  '{% for m in messages %}<u>{{ m.role }}\n{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<u>assistant\n{% endif %}'
const { tokenizerJson, tokenizerConfig } = filesOf('smollm-like')
const plain = new Tokenizer({ tokenizerJson, tokenizerConfig: { ...tokenizerConfig, chat_template: undefined } })
const chat = tokenizerOf('smollm-like', { chatTemplate: template })
const said = [
  { role: 'user', content: 'hi' },
  { role: 'assistant', content: 'ho' },
]
const folder = mkdtempSync(join(tmpdir(), 'saqr-form-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('the form that rows ask in', () => {
  it.each<[string, Row[], PromptForm]>([
    ['messages', [{ messages: said }], { form: 'chat' }],
    ['ShareGPT', [{ conversations: [{ from: 'human', value: 'hi' }, { from: 'gpt', value: 'ho' }] }], { form: 'chat' }], // biome-ignore format: a row
    ['prompts of messages', [{ prompt: said.slice(0, 1), completion: said.slice(1) }], { form: 'chat' }],
    ['Alpaca rows', [{ instruction: 'add', output: '3' }], { form: 'alpaca' }],
    ['prompts that end alike', [{ prompt: 'a: \n', completion: '1' }, { prompt: 'b \n', completion: '2' }], { form: 'plain', end: ' \n' }], // biome-ignore format: rows
    ['prompts that don’t', [{ prompt: 'a\n', completion: '1' }, { prompt: 'b', completion: '2' }], { form: 'plain', end: '' }], // biome-ignore format: rows
    ['texts', [{ text: 'once' }], { form: 'plain', end: '' }],
    ['texts in Alpaca’s wording', [{ text: `${alpacaPrompt('add', '')}3` }], { form: 'alpaca' }],
    ['texts that the template wrote', [{ text: chat.applyChatTemplate(said, { tokenize: false }) }], { form: 'chat' }],
  ])('%s', async (_, rows, form) => {
    expect((await prepare(new Dataset(rows), chat)).form).toEqual(form)
  })

  it('a text that a function made of the row', async () => {
    const { form } = await prepare(new Dataset([{ q: 'add' }]), plain, { formattingFunc: ({ q }) => alpacaPrompt(String(q), '') })
    expect(form).toEqual({ form: 'alpaca' })
  })
})

describe('a question', () => {
  const ask = (form: PromptForm | null, more = {}, tokenizer = chat) =>
    tokenizer.decode(promptIds(tokenizer, 'hi', { chat: null, system: null, tools: null, ...more }, form))

  it.each<[PromptForm | null, object, string]>([
    [null, {}, '<u>user\nhi\n<u>assistant\n'],
    [{ form: 'chat' }, { system: 'be brief' }, '<u>system\nbe brief\n<u>user\nhi\n<u>assistant\n'],
    [{ form: 'plain', end: '\n' }, {}, 'hi\n'],
    [{ form: 'plain', end: '\n' }, { chat: false }, 'hi'],
    [{ form: 'plain', end: '' }, { chat: true }, '<u>user\nhi\n<u>assistant\n'],
    [{ form: 'alpaca' }, {}, alpacaPrompt('hi', '')],
    [{ form: 'alpaca' }, { chat: false }, 'hi'],
  ])('%j with %j', (form, more, text) => {
    expect(ask(form, more)).toBe(text)
  })

  it('says something, unless a message says that it is empty', () => {
    const empty = (prompt: string | { role: string; content: string }[], form: PromptForm | null, ask = {}) =>
      promptIds(chat, prompt, { chat: null, system: null, tools: null, ...ask }, form)
    for (const form of [null, { form: 'chat' }] as const)
      expect(() => empty('', form)).toThrow(/the prompt is empty: give it at least one character/)
    expect(() => empty('', { form: 'plain', end: '' }, { chat: true })).toThrow(/the prompt is empty/)
    expect(chat.decode(empty([{ role: 'user', content: '' }], null))).toBe('<u>user\n\n<u>assistant\n')
    expect(empty('', { form: 'plain', end: '' })).toEqual([])
  })

  it('is plain where there is no template', () => {
    expect(ask(null, {}, plain)).toBe('hi')
    expect(() => ask(null, { system: 'be brief' }, plain)).toThrow(/system goes into a chat template, and the prompt does not/)
    expect(() => ask({ form: 'chat' }, {}, plain)).toThrow(/this tokenizer has no chat template/)
  })
})

it('saqr.json keeps it, and goes where nothing is known', () => {
  writePromptForm(folder, { form: 'plain', end: '\n' })
  expect(readPromptForm(folder)).toEqual({ form: 'plain', end: '\n' })
  writePromptForm(folder, null)
  expect(readPromptForm(folder)).toBeNull()
  writeFileSync(join(folder, 'saqr.json'), '{"prompt": {"form": "poem"}}')
  expect(() => readPromptForm(folder)).toThrow(/saqr\.json: prompt must be .*Correct it, or remove the file/)
})

it('what was prepared ahead is handed over once, to who asks for the same', async () => {
  const rows = new Dataset([{ text: 'once upon a time' }])
  const first = await prepare(rows, plain, { maxLength: 8, making: { ahead: true } })
  expect(await prepare(rows, plain, { maxLength: 8 })).toBe(first)
  expect(await prepare(rows, plain, { maxLength: 8 })).not.toBe(first)
  await prepare(rows, plain, { maxLength: 8, making: { ahead: true } })
  expect((await prepare(rows, plain, { maxLength: 2 })).examples[0]!.ids.length).toBe(2)
  // nobody said that it is for another: rows may be others by then
  await prepare(rows, plain, { maxLength: 8 })
  ;(rows.rows as Row[])[0] = { text: 'twice' }
  const [example] = (await prepare(rows, plain, { maxLength: 8 })).examples
  expect([...example!.ids.slice(0, -1)]).toEqual(plain.encode('twice'))
})
