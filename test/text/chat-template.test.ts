import { describe, expect, test } from 'vitest'
import { type ChatOptions, ChatTemplate, type Message } from '../../src/text/chat-template.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { filesOf, kinds, recorded, tokenizerOf } from './fixtures.ts'

interface Case {
  template: string | null
  chat: number
  text: string
  ids: number[]
  mask?: number[]
  error?: string
}

const chats = recorded<{ messages: Message[]; tools?: unknown[]; add_generation_prompt?: boolean }[]>('chats.json')

describe.each(kinds)('%s: templates as transformers renders them', (kind) => {
  const cases = recorded<Case[]>(`chats/${kind}.json`)

  test('text, ids and what the assistant wrote', () => {
    const own = tokenizerOf(kind)
    const tokenizers = new Map([[own.chatTemplate!, own]])
    for (const { template, chat, text, ids, mask, error } of cases) {
      const source = template ?? own.chatTemplate!
      const tokenizer = tokenizers.get(source) ?? tokenizerOf(kind, { chatTemplate: source })
      tokenizers.set(source, tokenizer)
      const { messages, tools = null, add_generation_prompt: addGenerationPrompt = false } = chats[chat]!
      const options: ChatOptions = { tools, addGenerationPrompt, where: `chat ${chat} of ${source}` }
      if (error) {
        expect(() => tokenizer.applyChatTemplate(messages, options), options.where).toThrow()
        continue
      }
      expect(tokenizer.applyChatTemplate(messages, options), options.where).toMatchObject({ text, ids })
      if (!mask) continue
      expect([...tokenizer.applyChatTemplateWithMask(messages, options).mask], options.where).toEqual(mask)
    }
    expect(cases.filter((c) => c.mask?.includes(1)).length).toBeGreaterThan(10)
  })
})

const say = (...contents: string[]): Message[] => contents.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content }))

describe('messages that a template does not take', () => {
  const options = { where: 'rows.jsonl, line 7' }

  test.each([
    [
      "{{ raise_exception('roles must alternate') }}",
      /rows\.jsonl, line 7: the chat template does not take the messages: roles must alternate/,
    ],
    ['{{ messages | map }}', /the template prints a generator/],
    ["{{ 'x' + messages[0] }}", /a str and a dict can't be joined by \+/],
    ['{{ messages[0].content | nosuchfilter }}', /nosuchfilter/],
    ["{{ strftime_now('%Q') }}", /asked for %Q/],
  ])('%s', (source, message) => {
    expect(() => new ChatTemplate(source).render(say('hi'), {}, options)).toThrow(message)
  })

  test('a template that can not be read', () => {
    expect(() => new ChatTemplate('{% for m in %}')).toThrow(/The chat template can't be read/)
    expect(() => new ChatTemplate('{% break %}')).toThrow(/break stands outside of a loop/)
  })

  test('no message, no template', () => {
    expect(() => new ChatTemplate('x').render([], {}, options)).toThrow(/there is no message/)
    const bare = tokenizerOf('smollm-like', { chatTemplate: '' })
    expect(bare.chatTemplate).toBe('')
  })
})

test('the day that a template is told can be fixed', () => {
  const template = new ChatTemplate("{{ strftime_now('%d %b %Y') }}")
  expect(template.render(say('hi'), {}, { now: new Date(2024, 6, 26) }).text).toBe('26 Jul 2024')
  // as Python's strftime writes it in the C locale
  const parts = new ChatTemplate("{{ strftime_now('%c|%x|%X|%D|%R|%r|%h|%C|%u|%z|%Z') }}")
  expect(parts.render(say('hi'), {}, { now: new Date(2024, 6, 7, 15, 4, 9) }).text).toBe(
    'Sun Jul  7 15:04:09 2024|07/07/24|15:04:09|07/07/24|15:04|03:04:09 PM|Jul|20|7||',
  )
})

test('named templates: tool_use where there are tools, else default', () => {
  const named = [
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: 'tools' },
  ]
  const { tokenizerJson, tokenizerConfig } = filesOf('smollm-like')
  const forms = [
    { tokenizerJson, tokenizerConfig: { ...tokenizerConfig, chat_template: named } },
    { tokenizerJson, tokenizerConfig, chatTemplate: 'plain', chatTemplates: { tool_use: 'tools' } },
  ]
  for (const tokenizer of forms.map((files) => new Tokenizer(files))) {
    expect(tokenizer.applyChatTemplate(say('hi'), { tokenize: false })).toBe('plain')
    expect(tokenizer.applyChatTemplate(say('hi'), { tools: [{}] }).text).toBe('tools')
  }
})

describe('what the assistant wrote', () => {
  test('needs marks in the template', () => {
    const tokenizer = tokenizerOf('smollm-like', { chatTemplate: '{{ messages[0].content }}' })
    expect(() => tokenizer.applyChatTemplateWithMask(say('hi'))).toThrow(/\{% generation %\}/)
  })

  test('is refused where the template changes the text of the marked block', () => {
    const template = new ChatTemplate('{% set x %}{% generation %} a {% endgeneration %}{% endset %}{{ x | length }}')
    expect(template.render(say('hi'), {})).toMatchObject({ text: '3', spans: null })
  })

  test('is refused where the tokenizer joins characters across its edge', () => {
    const tokenizer = tokenizerOf('smollm-like', { chatTemplate: 'e{% generation %}{{ messages[0].content }}{% endgeneration %}' })
    expect(() => tokenizer.applyChatTemplateWithMask(say('\u0301'), { where: 'row 2' })).toThrow(/row 2: the tokenizer rewrites this text/)
  })
})
