/** Chat templates by name. The texts are those that TRL 1.16's llama3, gemma3, phi3 and qwen2_5.jinja give (held against them in stock.live.ts). */
import { describe, expect, it } from 'vitest'
import { chatTemplate } from '../../src/cli/load.ts'
import { ChatTemplate } from '../../src/text/chat-template.ts'
import { withoutGeneration } from '../../src/text/jinja/without-generation.ts'
import { namedTemplate, templateNames, templateOf } from '../../src/text/named-templates.ts'

const messages = [
  { role: 'system', content: 'be kind' },
  { role: 'user', content: ' q ' },
  { role: 'assistant', content: ' a\n\nb ' },
]
const special = { bos_token: '<B>', eos_token: '<E>' }
const TEXTS: Record<string, [text: string, learned: string, prompt: string]> = {
  chatml: [
    '<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\n q <|im_end|>\n<|im_start|>assistant\n a\n\nb <|im_end|>\n',
    ' a\n\nb <|im_end|>',
    '<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n',
  ],
  'gemma-3': [
    '<B><start_of_turn>user\nbe kind\n\nq<end_of_turn>\n<start_of_turn>model\na\n\nb<end_of_turn>\n',
    'a\n\nb<end_of_turn>',
    '<B><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n',
  ],
  'llama-3': [
    '<B><|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na\n\nb<|eot_id|>',
    'a\n\nb<|eot_id|>',
    '<B><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
  ],
  'phi-3': [
    '<|system|>\nbe kind<|end|>\n<|user|>\n q <|end|>\n<|assistant|>\n a\n\nb <|end|>\n<E>',
    ' a\n\nb <|end|>',
    '<|user|>\nq<|end|>\n<|assistant|>\n',
  ],
}

describe.each(templateNames)('%s', (name) => {
  const template = new ChatTemplate(namedTemplate(name)!)
  const [text, learned, prompt] = TEXTS[name]!

  it('writes a conversation, and asks for an answer', () => {
    expect(template.render(messages, special, {}).text).toBe(text)
    expect(template.render([{ role: 'user', content: 'q' }], special, { addGenerationPrompt: true }).text).toBe(prompt)
  })

  it('marks what the assistant says, and says the same without marks', () => {
    const { spans } = template.render(messages, special, {})
    expect(spans!.map(([from, to]) => text.slice(from, to)).join('')).toBe(learned)
    expect(new ChatTemplate(withoutGeneration(namedTemplate(name)!).template).render(messages, special, {}).text).toBe(text)
  })

  it('is taken by the command and by programs', async () => {
    expect(await chatTemplate(name, new AbortController().signal)).toBe(namedTemplate(name))
    expect(templateOf(name)).toBe(namedTemplate(name))
  })
})

it('what is neither a name nor a template is told', () => {
  expect(templateOf('{{ messages }}')).toBe('{{ messages }}')
  expect(() => templateOf('llama3')).toThrow(
    /"llama3" is neither the source of a Jinja template nor one of chatml, .*; did you mean llama-3\?/,
  )
})
