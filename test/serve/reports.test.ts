/** What users of other servers met, each with the right value: OpenAI's API reference, or the template's own words. */
import type OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { Sampler } from '../../src/generate/sample.ts'
import { type Running, serveTiny } from './served.ts'

const template =
  "{% if tools %}<tools>{{ tools | tojson }}\n{% endif %}{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('System message must be at the beginning.') }}{% endif %}<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}{% for c in m.tool_calls %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}{% endif %}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
let s: Running
beforeAll(async () => {
  s = await serveTiny({ template, jobs: true })
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})
afterEach(() => void vi.restoreAllMocks())

const user = { role: 'user' as const, content: 'w?' }
const asked = { model: 'tiny', messages: [user], temperature: 0, max_tokens: 90 }
const tools = [{ type: 'function' as const, function: { name: 'now', parameters: { type: 'object', properties: {} } } }]

/** the model's tokens are those of this text, whatever its logits say */
function says(text: string) {
  const ids = [...s.model.tokenizer.encode(text), s.model.tokenizer.eosId!]
  vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: ids.shift()!, logprob: 0, top: [] }))
}

/** a stream's events as they are sent */
async function events(path: string, body: object): Promise<Record<string, unknown>[]> {
  const text = await (await s.ask(path, { method: 'POST', body: JSON.stringify({ ...body, stream: true }) })).text()
  const lines = text.split('\n').filter((line) => line.startsWith('data: '))
  expect(lines.pop()).toBe('data: [DONE]')
  return lines.map((line) => JSON.parse(line.slice(6)))
}
type Piece = { delta: OpenAI.ChatCompletionChunk.Choice.Delta; finish_reason: string | null }
const pieces = (all: Record<string, unknown>[]) => all.flatMap(({ choices }) => choices as Piece[])

it('llama.cpp#27367, #11402: what a template refuses is a 400 in its own words, and no text', async () => {
  const messages = [user, { role: 'assistant' as const, content: 'a' }, { role: 'system' as const, content: 'b' }, user]
  const refused = s.client.chat.completions.create({ ...asked, messages })
  await expect(refused).rejects.toMatchObject({ status: 400, message: expect.stringContaining('System message must be at the beginning.') })
  expect((await s.client.chat.completions.create({ ...asked, max_tokens: 1 })).choices).toHaveLength(1)
})

it('llama-cpp-python#1907: max_completion_tokens counts', async () => {
  const { max_tokens: _, ...rest } = asked
  const { usage } = await s.client.chat.completions.create({ ...rest, max_completion_tokens: 3, stop: ['\u0000'] })
  expect(usage!.completion_tokens).toBe(3)
})

it('vllm#42474, modular#6673: more tokens asked for than there are positions end at the last, which finish_reason says', async () => {
  vi.spyOn(Sampler.prototype, 'after').mockImplementation(() => ({ id: s.model.tokenizer.encode('a')[0]!, logprob: 0, top: [] }))
  const { choices, usage } = await s.client.chat.completions.create({ ...asked, max_tokens: 100_000_000 })
  expect(choices[0]!.finish_reason).toBe('length')
  expect(usage!.total_tokens).toBe(256) // max_position_embeddings of the tiny model
})

it.each([
  ['an empty object', '{"name": "now", "arguments": {}}'],
  ['none', '{"name": "now"}'],
])('ai#6687, haystack#9408: a call without arguments (%s) has {}', async (_, said) => {
  const text = `<tool_call>\n${said}\n</tool_call>`
  says(text)
  const whole = (await s.client.chat.completions.create({ ...asked, tools })).choices[0]!
  expect(whole).toMatchObject({ finish_reason: 'tool_calls', message: { tool_calls: [{ function: { name: 'now', arguments: '{}' } }] } })
  says(text)
  const calls = pieces(await events('/v1/chat/completions', { ...asked, tools })).flatMap(({ delta }) => delta.tool_calls ?? [])
  expect(calls.map((call) => call.function?.arguments ?? '').join('')).toBe('{}')
})

it('agno#3134: a call that comes back with arguments of an empty text had none', async () => {
  const render = vi.spyOn(s.model.tokenizer, 'applyChatTemplate')
  const calls = [{ id: 'abc123def', type: 'function' as const, function: { name: 'now', arguments: '' } }]
  const messages = [
    user,
    { role: 'assistant' as const, content: null, tool_calls: calls },
    { role: 'tool' as const, tool_call_id: 'abc123def', content: '9' },
  ]
  await s.client.chat.completions.create({ ...asked, messages, tools, max_tokens: 1 })
  expect((render.mock.results[0]!.value as { text: string }).text).toContain('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>')
})

it('textgen#1603, java-llama.cpp#3: a character of several tokens comes whole in a stream', async () => {
  says('é 🦅🦅 صقر.')
  const texts = pieces(await events('/v1/chat/completions', asked)).map(({ delta }) => delta.content ?? '')
  expect(texts.join('')).toBe('é 🦅🦅 صقر.')
  expect(texts.filter((text) => text.includes('\ufffd'))).toEqual([])
})

it('shimmy#159: a stop string behind a character of several bytes', async () => {
  for (const stream of [false, true]) {
    says('go 🦅 world')
    const body = { ...asked, stop: ['world'] }
    const text = stream
      ? pieces(await events('/v1/chat/completions', body))
          .map(({ delta }) => delta.content ?? '')
          .join('')
      : (await s.client.chat.completions.create(body)).choices[0]!.message.content
    expect(text).toBe('go 🦅 ')
  }
})

it('vllm#19650: finish_reason stands in every piece of a stream, null until the last', async () => {
  says('So. <tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>')
  const all = pieces(await events('/v1/chat/completions', { ...asked, tools }))
  expect(all.map((piece) => piece.finish_reason)).toEqual([...all.slice(1).map(() => null), 'tool_calls'])
})

it.each(['/v1/chat/completions', '/v1/completions'])(
  'vllm-swift#19, vllm#6705: %s ends with its usage where it is asked for',
  async (path) => {
    const { messages, ...rest } = asked
    const body = path === '/v1/completions' ? { ...rest, prompt: 'w?' } : { ...rest, messages }
    const all = await events(path, { ...body, max_tokens: 3, stop: ['\u0000'], stream_options: { include_usage: true } })
    expect(all.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } })
    expect(all.slice(0, -1).map(({ usage }) => usage)).toEqual(all.slice(1).map(() => null))
  },
)

it('litellm#37855: a page of files has as many as are asked for, and a number that is none is a 400 that names it', async () => {
  for (const name of ['a.jsonl', 'b.jsonl'])
    await s.client.files.create({ file: new File(['{"prompt": "a", "completion": "b"}\n'], name), purpose: 'fine-tune' })
  for (const limit of [0, -1, 10_001]) await expect(s.client.files.list({ limit })).rejects.toMatchObject({ status: 400, param: 'limit' })
  const page = await s.client.files.list({ limit: 1 })
  expect([page.data.length, page.has_more]).toEqual([1, true])
})
