/** What can't be had is told by name, as OpenAI's error object, with the status that its clients act on. */
import { request } from 'node:http'
import { createConnection } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Running, serveTiny } from './served.ts'

let s: Running
beforeAll(async () => {
  s = await serveTiny({ origins: ['https://app.example'] })
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 }
const tool = { type: 'function', function: { name: 'f' } }

async function told(path: string, body: unknown, init: RequestInit = {}) {
  const text = typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body)
  const response = await s.ask(path, { method: 'POST', body: text, ...init })
  const { error } = (await response.json()) as { error: Record<string, unknown> }
  expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
  return { status: response.status, code: error.code, param: error.param, message: String(error.message) }
}

describe('a body', () => {
  it.each([
    ['no JSON', '{', 400, 'invalid_json', null],
    ['no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), 400, 'invalid_json', null],
    ['a list', [], 400, 'invalid_json', null],
    ['nothing', '', 400, 'invalid_json', null],
    ['nested without end', `{"a":${'['.repeat(100_000)}`, 400, 'invalid_json', null],
    ['no model', { ...chat, model: undefined }, 400, 'missing_required_parameter', 'model'],
    ['another model', { ...chat, model: 'gpt-4o' }, 404, 'model_not_found', 'model'],
    ['no messages', { model: 'tiny' }, 400, 'missing_required_parameter', 'messages'],
    ['an unknown parameter', { ...chat, temprature: 1 }, 400, 'unknown_parameter', 'temprature'],
    ['a parameter out of range', { ...chat, temperature: 3 }, 400, 'invalid_value', 'temperature'],
    ['logprobs without logprobs', { ...chat, top_logprobs: 2 }, 400, 'invalid_value', 'top_logprobs'],
    ['a form', { ...chat, response_format: { type: 'json_object' } }, 400, 'unsupported_parameter', 'response_format'],
    ['a forced call', { ...chat, tools: [tool], tool_choice: 'required' }, 400, 'unsupported_parameter', 'tool_choice'],
    ['a bias', { ...chat, logit_bias: { 5: 1 } }, 400, 'unsupported_parameter', 'logit_bias'],
    ['tools that the template does not show', { ...chat, tools: [tool] }, 400, 'invalid_value', 'tools'],
    ['a message that is none', { ...chat, messages: ['hi'] }, 400, 'invalid_value', 'messages[0]'],
    ['a role', { ...chat, messages: [{ role: 'boss', content: 'hi' }] }, 400, 'invalid_value', 'messages[0].role'],
    [
      'an image',
      { ...chat, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }] },
      400,
      'invalid_value',
      'messages[0].content[0]',
    ],
    ['a context too long', { ...chat, messages: [{ role: 'user', content: 'x'.repeat(300) }] }, 400, 'context_length_exceeded', 'messages'],
    ['half a character', '{"model":"tiny","messages":[{"role":"user","content":"\\ud800"}]}', 400, 'text_not_unicode', 'messages'],
    ['4 MiB and more', { ...chat, user: 'x'.repeat(4 * 2 ** 20) }, 413, 'request_too_large', null],
  ])('%s', async (_, body, status, code, param) => {
    expect(await told('/v1/chat/completions', body)).toMatchObject({ status, code, param })
  })

  it('of completions', async () => {
    const ask = (more: object) => told('/v1/completions', { model: 'tiny', prompt: 'hi', ...more })
    expect(await ask({ prompt: undefined })).toMatchObject({ status: 400, param: 'prompt' })
    expect(await ask({ prompt: [['hi']] })).toMatchObject({ status: 400, param: 'prompt' })
    expect(await ask({ prompt: [259] })).toMatchObject({ status: 400, code: 'model_vocabulary', param: 'prompt' })
    expect(await ask({ prompt: '' })).toMatchObject({ status: 400, code: 'text_empty', param: 'prompt' })
    expect(await ask({ echo: true })).toMatchObject({ status: 400, code: 'unsupported_parameter', param: 'echo' })
    expect(await ask({ best_of: 2 })).toMatchObject({ status: 400, code: 'unsupported_parameter', param: 'best_of' })
  })

  it('whose length is not said is bounded too', async () => {
    const part = new Uint8Array(2 ** 20).fill(32)
    let sent = 0
    const body = new ReadableStream({ pull: (to) => (sent++ < 5 ? to.enqueue(part) : to.close()) })
    const response = await s.ask('/v1/completions', { method: 'POST', body, duplex: 'half' } as RequestInit)
    expect(response.status).toBe(413)
  })
})

describe('a path', () => {
  it.each([
    ['/v1/embeddings', 'unsupported_endpoint'],
    ['/v1/responses', 'unsupported_endpoint'],
    ['/v1/fine_tuning/jobs', 'unsupported_endpoint'],
    ['/v1/files', 'unsupported_endpoint'],
    ['/v1/nothing', 'unknown_url'],
    ['/', 'unknown_url'],
    ['/v1/models%2f..%2f..%2fetc%2fpasswd', 'model_not_found'],
    ['/v1/constructor', 'unknown_url'],
  ])('%s', async (path, code) => {
    expect(await told(path, '', { method: 'GET', body: null })).toMatchObject({ status: 404, code })
  })

  it('asked in another way', async () => {
    expect(await told('/v1/models', '{}')).toMatchObject({ status: 405, code: 'method_not_allowed' })
    expect(await told('/v1/completions', '', { method: 'GET', body: null })).toMatchObject({ status: 405 })
  })

  it('as it is written reaches no file', async () => {
    const body = await new Promise<string>((resolve, reject) => {
      const headers = { authorization: 'Bearer sk-test' }
      const sent = request(`${s.url}/`, { path: '/v1/models/../../../../../../../etc/passwd', headers }, (response) => {
        let text = ''
        response.on('data', (part) => (text += part)).on('end', () => resolve(text))
      })
      sent.on('error', reject).end()
    })
    expect(JSON.parse(body)).toMatchObject({ error: { code: 'model_not_found' } })
  })
})

describe('who asks', () => {
  it('needs the key', async () => {
    const client = new OpenAI({ baseURL: `${s.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 })
    await expect(client.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
    expect((await fetch(`${s.url}/v1/models`)).status).toBe(401)
    // before anything is said of what there is
    expect((await fetch(`${s.url}/v1/nothing`)).status).toBe(401)
  })

  it.each([
    ['https://evil.example', 403],
    ['null', 403],
    ['http://localhost.evil.example', 403],
    ['https://app.example', 200],
    ['http://localhost:5173', 200],
    ['http://127.0.0.1:3000', 200],
    ['http://[::1]:3000', 200],
  ])('from a page of %s', async (origin, status) => {
    const response = await s.ask('/v1/models', { headers: { origin } })
    expect(response.status).toBe(status)
    expect(response.headers.get('access-control-allow-origin')).toBe(status === 200 ? origin : null)
    const before = await fetch(`${s.url}/v1/models`, { method: 'OPTIONS', headers: { origin } })
    expect(before.status).toBe(status === 200 ? 204 : 403)
  })

  it('under a name of another machine is refused', async () => {
    const status = await new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer sk-test', host: 'evil.example' }
      request(`${s.url}/v1/models`, { headers }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
    expect(status).toBe(403)
  })

  it('without HTTP is told so', async () => {
    const { port } = new URL(s.url)
    const text = await new Promise<string>((resolve) => {
      const socket = createConnection(Number(port), '127.0.0.1', () => socket.write('HELLO\r\n\r\n'))
      let all = ''
      socket.on('data', (part) => (all += part)).on('close', () => resolve(all))
    })
    expect(text).toMatch(/^HTTP\/1\.1 400 .*invalid_http/s)
  })
})
