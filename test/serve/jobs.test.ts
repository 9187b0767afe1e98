/** Files and fine-tuning jobs as the unmodified openai client asks for them, and what is refused. */
import { existsSync, readdirSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { lines, pair, TEMPLATE } from '../jobs/tiny.ts'
import { type Running, serveTiny } from './served.ts'

let s: Running
beforeAll(async () => {
  s = await serveTiny({ jobs: true, template: TEMPLATE })
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})

const upload = async (bytes: Buffer, name = 'rows.jsonl') =>
  (await s.client.files.create({ file: await toFile(bytes, name), purpose: 'fine-tune' })).id
const ended = async (id: string) => {
  for (;;) {
    const job = await s.client.fineTuning.jobs.retrieve(id)
    if (/succeeded|failed|cancelled/.test(job.status)) return job
    await wait(50)
  }
}
const strong = { n_epochs: 10, batch_size: 4, learning_rate_multiplier: 50 }
const method = { type: 'supervised' as const, supervised: { hyperparameters: strong } }
const greedy = { messages: [{ role: 'user' as const, content: 'bird 3' }], temperature: 0, max_tokens: 12 }
const answer = async (model: string) => (await s.client.chat.completions.create({ ...greedy, model })).choices[0]!.message.content

it('the whole loop: a file, a job, its events, a model that answers, gone again', async () => {
  const { client } = s
  const file = await client.files.create({ file: await toFile(lines(24), 'birds.jsonl'), purpose: 'fine-tune' })
  expect(file).toMatchObject({
    object: 'file',
    bytes: lines(24).length,
    filename: 'birds.jsonl',
    purpose: 'fine-tune',
    status: 'processed',
  })
  expect(await client.files.retrieve(file.id)).toEqual(file)
  expect(await (await client.files.content(file.id)).text()).toBe(lines(24).toString())
  expect((await client.files.waitForProcessing(file.id)).id).toBe(file.id)
  const asked = { model: 'tiny', training_file: file.id, validation_file: file.id, method, suffix: 'birds', seed: 3, metadata: { a: 'b' } }
  const made = await client.fineTuning.jobs.create(asked)
  expect(made).toMatchObject({ object: 'fine_tuning.job', status: 'validating_files', seed: 3, metadata: { a: 'b' }, result_files: [] })
  const base = await answer('tiny')
  const job = await ended(made.id)
  const name = `ft:tiny:birds:${made.id.slice(-8)}`
  expect(job).toMatchObject({ status: 'succeeded', fine_tuned_model: name, error: null, hyperparameters: strong })
  // newest first, in pages
  const messages: string[] = []
  for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 7 })) {
    expect(event.object).toBe('fine_tuning.job.event')
    messages.push(event.message)
  }
  expect(messages[0]).toBe('The job has successfully completed')
  expect(messages.at(-1)).toBe(`Created fine-tuning job: ${job.id}`)
  expect(messages.filter((text) => /training loss/.test(text))).toHaveLength(60)
  const checkpoints: OpenAI.FineTuning.Jobs.FineTuningJobCheckpoint[] = []
  for await (const one of client.fineTuning.jobs.checkpoints.list(job.id, { limit: 2 })) checkpoints.push(one)
  expect(checkpoints.map((one) => one.step_number)).toEqual([60, 54, 48])
  expect(await (await client.files.content(job.result_files[0]!)).text()).toMatch(/^step,train_loss,.*\n1,/)
  expect((await client.files.list({ purpose: 'fine-tune-results' })).data.map(({ id }) => id)).toEqual(job.result_files)
  // at once, beside the base and its own earlier epochs
  const tuned = await answer(name)
  expect(tuned).not.toBe(base)
  expect(tuned).toMatch(/^It/)
  expect(await answer(checkpoints[0]!.fine_tuned_model_checkpoint)).toBe(tuned)
  expect(await answer('tiny')).toBe(base)
  const models = (await client.models.list()).data
  expect(models.map(({ id }) => id)).toContain(name)
  expect(await client.models.retrieve(name)).toMatchObject({ id: name, object: 'model', created: job.finished_at })
  // more of them than are loaded at once
  for (const one of checkpoints) expect(await answer(one.fine_tuned_model_checkpoint)).toMatch(/./)
  expect(await client.models.delete(name)).toEqual({ id: name, object: 'model', deleted: true })
  await expect(answer(name)).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
  expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true })
  await expect(client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404, code: 'not_found' })
})

it('pairs of preferences; paused, resumed, cancelled; in pages, by metadata', async () => {
  const { jobs } = s.client.fineTuning
  const training_file = await upload(lines(16, pair))
  const dpo = { type: 'dpo' as const, dpo: { hyperparameters: { n_epochs: 3, beta: 'auto' as const } } }
  const of = (i: number) => jobs.create({ model: 'tiny', training_file, method: dpo, metadata: { part: String(i) } })
  const all = [await of(0), await of(1), await of(2)]
  expect((await jobs.pause(all[2]!.id)).status).toBe('paused')
  expect((await jobs.cancel(all[1]!.id)).status).toBe('cancelled')
  await expect(jobs.cancel(all[1]!.id)).rejects.toMatchObject({ status: 400, code: 'invalid_state' })
  expect(await ended(all[0]!.id)).toMatchObject({
    status: 'succeeded',
    method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 3, beta: 0.1 } } },
  })
  expect((await jobs.retrieve(all[2]!.id)).status).toBe('paused')
  await jobs.resume(all[2]!.id)
  expect((await ended(all[2]!.id)).status).toBe('succeeded')
  const listed: string[] = []
  for await (const { id } of jobs.list({ limit: 1 })) listed.push(id)
  expect(listed.slice(0, 3)).toEqual(all.map(({ id }) => id).reverse())
  expect((await jobs.list({ metadata: { part: '1' } })).data.map(({ id }) => id)).toEqual([all[1]!.id])
})

it('a bad line fails the job with OpenAI’s error object', async () => {
  const training_file = await upload(Buffer.concat([lines(2), Buffer.from('{"messages": []}\n')]), 'mine.jsonl')
  const job = await ended((await s.client.fineTuning.jobs.create({ model: 'tiny', training_file })).id)
  expect(job).toMatchObject({ status: 'failed', error: { code: 'invalid_training_file', param: 'training_file' } })
  expect(job.error!.message).toMatch(new RegExp(`^mine\\.jsonl \\(${training_file}\\), line 3: messages must be a list`))
})

describe('refuses', () => {
  const told = async (path: string, init: RequestInit = {}) => {
    const response = await s.ask(path, init)
    const { error } = (await response.json()) as { error: { code: string; param: string | null; message: string } }
    expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type'])
    return { status: response.status, ...error }
  }
  const post = (path: string, body: unknown) => told(path, { method: 'POST', body: JSON.stringify(body) })

  it.each([
    [{ model: 'gpt-4o' }, 'invalid_value', 'model'],
    [{ model: undefined }, 'missing_required_parameter', 'model'],
    [{ training_file: '../../../etc/passwd' }, 'invalid_value', 'training_file'],
    [{ epochs: 3 }, 'unknown_parameter', 'epochs'],
    [{ integrations: [{ type: 'wandb', wandb: { project: 'p' } }] }, 'unsupported_parameter', 'integrations'],
    [{ method: { type: 'reinforcement', reinforcement: {} } }, 'unsupported_parameter', 'method.type'],
    [{ method: { type: 'dpo', dpo: { hyperparameters: { beta: -1 } } } }, 'invalid_value', 'method.dpo.hyperparameters.beta'],
    [{ hyperparameters: { n_epochs: 'many' } }, 'invalid_value', 'hyperparameters.n_epochs'],
    [{ suffix: 'a/b' }, 'invalid_value', 'suffix'],
  ])('a job with %j', async (wrong, code, param) => {
    const training_file = await upload(lines(1))
    expect(await post('/v1/fine_tuning/jobs', { model: 'tiny', training_file, ...wrong })).toMatchObject({ status: 400, code, param })
  })

  it.each([
    ['/v1/files/file-none', 404, 'not_found'],
    ['/v1/files/..%2f..%2fetc%2fpasswd', 404, 'unknown_url'],
    ['/v1/files/..%5c..%5cetc', 404, 'not_found'],
    ['/v1/files/__proto__', 404, 'not_found'],
    ['/v1/files/file-none/content', 404, 'not_found'],
    ['/v1/files/file-none/other', 404, 'unknown_url'],
    ['/v1/fine_tuning/jobs/ftjob-none', 404, 'not_found'],
    ['/v1/fine_tuning/jobs/ftjob-none/events', 404, 'not_found'],
    ['/v1/fine_tuning/jobs/ftjob-none/constructor', 404, 'unknown_url'],
    ['/v1/fine_tuning/checkpoints/x/permissions', 404, 'unsupported_endpoint'],
    ['/v1/uploads', 404, 'unsupported_endpoint'],
    ['/v1/fine_tuning/jobs?limit=0', 400, 'invalid_value'],
    ['/v1/fine_tuning/jobs?limit=1000', 400, 'invalid_value'],
    ['/v1/fine_tuning/jobs?after=ftjob-none', 400, 'invalid_value'],
    ['/v1/files?order=up', 400, 'invalid_value'],
  ])('%s', async (path, status, code) => {
    expect(await told(path)).toMatchObject({ status, code })
  })

  it('other methods, and what is served from the start', async () => {
    expect(await told('/v1/files', { method: 'DELETE' })).toMatchObject({ status: 405 })
    expect(await told('/v1/fine_tuning/jobs/x/cancel')).toMatchObject({ status: 405 })
    expect(await told('/v1/models/tiny', { method: 'DELETE' })).toMatchObject({ status: 400, param: 'model' })
    expect(await told('/v1/models/nobody', { method: 'DELETE' })).toMatchObject({ status: 404 })
  })

  it('a key that is wrong, before a byte of a file is kept', async () => {
    const client = new OpenAI({ baseURL: `${s.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 })
    await expect(client.files.create({ file: await toFile(lines(1), 'x'), purpose: 'fine-tune' })).rejects.toMatchObject({ status: 401 })
  })

  const FORM = 'multipart/form-data; boundary=b'
  const form = (body: string, type = FORM) => told('/v1/files', { method: 'POST', body, headers: { 'content-type': type } })
  const part = (head: string, body: string) => `--b\r\n${head}\r\n\r\n${body}\r\n`
  const FILE = part('Content-Disposition: form-data; name="file"; filename="a"', '{}')
  const PURPOSE = part('Content-Disposition: form-data; name="purpose"', 'fine-tune')
  it.each<[what: string, body: string, code: string, param: string | null, type?: string]>([
    ['no form', '{}', 'invalid_form', null],
    ['another type', '{}', 'invalid_form', null, 'application/json'],
    ['one cut off in a part', FILE, 'invalid_form', null],
    ['one cut off in a head', '--b\r\nContent-Disposition: form-d', 'invalid_form', null],
    ['a head without end', `--b\r\n${'x'.repeat(20_000)}`, 'invalid_form', null],
    ['a part without a name', `${part('Content-Type: text/plain', 'x')}--b--`, 'invalid_form', null],
    ['no file', `${PURPOSE}--b--`, 'missing_required_parameter', 'file'],
    ['a file that is none', `${part('Content-Disposition: form-data; name="file"', '{}')}--b--`, 'invalid_value', 'file'],
    ['two files', `${FILE}${FILE}${PURPOSE}--b--`, 'invalid_value', 'file'],
    ['no purpose', `${FILE}--b--`, 'missing_required_parameter', 'purpose'],
    ['another purpose', `${FILE}${PURPOSE.replace('fine-tune', 'vision')}--b--`, 'unsupported_parameter', 'purpose'],
    [
      'a file that expires',
      `${FILE}${PURPOSE}${part('Content-Disposition: form-data; name="expires_after[seconds]"', '1')}--b--`,
      'unsupported_parameter',
      'expires_after',
    ],
    [
      'something else',
      `${PURPOSE}${part('Content-Disposition: form-data; name="color"', 'red')}${FILE}--b--`,
      'unknown_parameter',
      'color',
    ],
    ['a field of many bytes', `${PURPOSE.replace('fine-tune', 'x'.repeat(20_000))}${FILE}--b--`, 'invalid_form', null],
    [
      'many parts',
      Array.from({ length: 20 }, (_, i) => part(`Content-Disposition: form-data; name="f${i}"`, 'x')).join(''),
      'invalid_form',
      null,
    ],
  ])('%s', async (_, body, code, param, type) => {
    const before = (await s.client.files.list()).data.length
    expect(await form(body, type ?? FORM)).toMatchObject({ status: 400, code, param })
    expect((await s.client.files.list()).data.length).toBe(before)
    expect(leftovers()).toEqual([])
  })

  it('a file that is too large: before it is sent, and while it is', { timeout: 60_000 }, async () => {
    const announced = await new Promise<number>((resolve, reject) => {
      const headers = { authorization: 'Bearer sk-test', 'content-type': FORM, 'content-length': 600 * 2 ** 20 }
      const sent = request(`${s.url}/v1/files`, { method: 'POST', headers }, (response) => resolve(response.resume().statusCode!))
      sent.on('error', reject)
      sent.write('--b\r\n')
    })
    expect(announced).toBe(413)
    const chunk = new Uint8Array(2 ** 20).fill(32)
    let sent = -1
    const head = Buffer.from(FILE.replace('{}\r\n', ''))
    const body = new ReadableStream({ pull: (to) => (sent++ < 0 ? to.enqueue(head) : sent < 520 ? to.enqueue(chunk) : to.close()) })
    const response = await told('/v1/files', { method: 'POST', body, duplex: 'half', headers: { 'content-type': FORM } } as RequestInit)
    expect(response).toMatchObject({ status: 413, code: 'request_too_large' })
    expect(leftovers()).toEqual([])
  })

  it('an upload that is broken off leaves nothing', async () => {
    const gone = new AbortController()
    const body = new ReadableStream({ start: (to) => to.enqueue(Buffer.from(FILE)) })
    const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': FORM }, signal: gone.signal } as RequestInit
    const sent = s.ask('/v1/files', init).catch(() => {})
    await vi.waitFor(() => expect(leftovers()).toHaveLength(1), 5000)
    gone.abort()
    await sent
    await vi.waitFor(() => expect(leftovers()).toEqual([]), 5000)
  })
})

it('boundaries that stand in a file are none, wherever the bytes are cut', async () => {
  const content = '--b\r\n--b-\r\n\r\n--\r\n-'
  const whole = Buffer.from(
    `preamble\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="../%22é.jsonl"\r\nContent-Type: x\r\n\r\n\r\n-${content.replaceAll('\r\n--b', '\r\n-b')}\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b--\r\nbehind`,
  )
  for (const size of [1, 2, 3, 7, 1000]) {
    let at = 0
    const body = new ReadableStream({
      pull(to) {
        if (at >= whole.length) return to.close()
        to.enqueue(whole.subarray(at, (at += size)))
      },
    })
    const headers = { 'content-type': 'multipart/form-data; boundary="b"' }
    const response = await s.ask('/v1/files', { method: 'POST', body, duplex: 'half', headers } as RequestInit)
    const { id, filename } = (await response.json()) as { id: string; filename: string }
    expect(filename).toBe('"é.jsonl')
    expect(await (await s.client.files.content(id)).text()).toBe(`\r\n-${content.replaceAll('\r\n--b', '\r\n-b')}`)
  }
})

/** what an upload has in the folder before it is whole */
function leftovers(): string[] {
  const folder = join(s.jobsDir, 'files')
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('.')) : []
}
