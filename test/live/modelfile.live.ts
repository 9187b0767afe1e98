/** The chat templates that TRL carries (Llama, Qwen, Gemma, Phi, DeepSeek …) in Ollama's language, over conversations drawn at random. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { goTemplate, turnsOf } from '../../src/export/go-template.ts'
import { ChatTemplate, type Message } from '../../src/text/chat-template.ts'
import { ollama } from '../export/go.ts'

const SPECIAL = { bos_token: '<s>', eos_token: '</s>' }
const packages = join(import.meta.dirname, '../../.venv/lib')
const folder = readdirSync(packages)
  .map((python) => join(packages, python, 'site-packages/trl/chat_templates'))
  .find((path) => readdirSync(path).length > 0)!
// those with images want parts, not texts
const files = readdirSync(folder).filter((name) => name.endsWith('.jinja') && !/training|idefics|llava|smolvlm/.test(name))

/** the same on every run; another seed should pass too */
function* words(seed: number): Generator<string, never> {
  const all = ['falcon', 'صقر', '鹰', '"quoted"', '{x}', '<b>', 'line\n\n  two', '3.14', "it's", '- a\n- b', '🦅', '```js\nf()\n```']
  for (let state = seed; ; ) {
    state = (state * 1103515245 + 12345) % 2 ** 31
    yield all[(state >> 8) % all.length]!
  }
}

it('there are the families that people train', () => {
  const wanted = ['llama3', 'llama3_1', 'llama3_2', 'qwen2_5', 'qwen3', 'gemma', 'gemma3', 'phi3', 'phi3_5', 'deepseekv3']
  expect(files).toEqual(expect.arrayContaining(wanted.map((name) => `${name}.jinja`)))
})

it.each(files)('%s', (file) => {
  const template = new ChatTemplate(readFileSync(join(folder, file), 'utf8'))
  const now = new Date(2026, 5, 1)
  const render = (messages: readonly Message[], addGenerationPrompt: boolean) =>
    template.render(messages, SPECIAL, { addGenerationPrompt, now }).text
  const turns = turnsOf(render)!
  const go = goTemplate(turns)!
  const word = words(20262)
  const text = () => `${word.next().value} ${word.next().value} ${word.next().value}`
  for (let i = 0; i < 60; i++) {
    const messages: Message[] = i % 2 && turns.place !== 'nowhere' ? [{ role: 'system', content: text() }] : []
    for (let turn = 0; turn < 1 + 2 * (i % 4); turn++) messages.push({ role: turn % 2 ? 'assistant' : 'user', content: text() })
    expect(ollama(go, messages), JSON.stringify(messages)).toBe(render(messages, true))
  }
})
