/** Calls of tools as the templates that TRL carries write them: read back from an answer, they are the calls that were written; asked as over HTTP, earlier ones are all in the prompt. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ApiError } from '../../src/serve/api-error.ts'
import { messagesOf, promptOf } from '../../src/serve/messages.ts'
import type { ServedModel } from '../../src/serve/models.ts'
import { answerForm } from '../../src/serve/tool-format.ts'
import { Tokenizer } from '../../src/text/tokenizer.ts'
import { byteTokenizer } from '../cli/tiny-model.ts'

const packages = join(import.meta.dirname, '../../.venv/lib')
const folder = readdirSync(packages)
  .map((python) => join(packages, python, 'site-packages/trl/chat_templates'))
  .find((path) => readdirSync(path).length > 0)!
const files = readdirSync(folder).filter((name) => name.endsWith('.jinja') && !/training|idefics|llava|smolvlm|_vl/.test(name))

const parameters = {
  type: 'object',
  properties: { city: { type: 'string', description: 'where' }, days: { type: 'integer', description: 'how many' } },
  required: ['city'],
}
const tools = [{ type: 'function', function: { name: 'weather', description: 'The weather.', parameters } }]
const given = { city: 'Sfax, "صفاقس" <b>', days: 2 }

const read: string[] = []
const refused: Record<string, string | null> = {}

it.each(files)('%s', (file) => {
  const chatTemplate = readFileSync(join(folder, file), 'utf8')
  const tokenizer = new Tokenizer({
    tokenizerJson: byteTokenizer(),
    tokenizerConfig: { bos_token: '<s>', eos_token: '</s>' },
    chatTemplate,
  } as never)
  const form = answerForm(tokenizer)
  const { argumentsAsText } = form
  const tool = form.reader(new Map([['weather', parameters]]))
  if (tool === null) return
  const asked = { role: 'user', content: 'Rain?' }
  const called = {
    id: 'abc123def',
    type: 'function',
    function: { name: 'weather', arguments: argumentsAsText ? JSON.stringify(given) : given },
  }
  const render = (messages: object[], addGenerationPrompt: boolean) =>
    tokenizer.applyChatTemplate(messages as never, { tokenize: false, tools, addGenerationPrompt })
  const prompt = render([asked], true)
  const whole = render([asked, { role: 'assistant', content: '', tool_calls: [called] }], false)
  // thoughts that the prompt begins are empty in what was written
  const answer = whole.startsWith(prompt) ? whole.slice(prompt.length) : whole.slice(whole.lastIndexOf('Rain?') + 'Rain?'.length)
  tool.push(answer.replace(/(<\|im_end\|>|<\|eot_id\|>|<\|call\|>|<｜end▁of▁sentence｜>|<\/s>)\s*$/, ''))
  const { calls } = tool.end()
  expect(calls.map(({ name, arguments: text }) => [name, JSON.parse(text)])).toEqual([['weather', given]])
  read.push(file)

  const model = { tokenizer, form, language: { promptForm: null } } as unknown as ServedModel
  const earlier = ['Sfax', 'Tunis'].map((city, i) => ({
    id: `abc123de${i}`,
    type: 'function',
    function: { name: 'weather', arguments: JSON.stringify({ city }) },
  }))
  const results = ['rain', 'wind'].map((content, i) => ({ role: 'tool', content, tool_call_id: `abc123de${i}` }))
  try {
    const messages = messagesOf([asked, { role: 'assistant', content: null, tool_calls: earlier }, ...results], model)
    const text = tokenizer.decode(promptOf(model, messages, tools))
    const after = text.slice(text.lastIndexOf('Rain?'))
    for (const part of ['Sfax', 'Tunis', 'rain', 'wind']) expect(after.split(part)).toHaveLength(2)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    refused[file] = error.param
  }
})

it('all of them take a conversation with calls, but for one that shows no tools', () => {
  expect(refused).toEqual({ 'deepseekv3.jinja': 'tools' })
})

it('there are the families that people train', () => {
  expect(read).toEqual(
    expect.arrayContaining(['qwen2_5', 'qwen3', 'llama3_1', 'deepseekv3', 'gptoss', 'qwen3_6'].map((name) => `${name}.jinja`)),
  )
})
