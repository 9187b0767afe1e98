/** The Next.js example's routes, called as its server calls them, on the model that comes with saqr. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as answers from '../../examples/nextjs/app/api/answers/route.ts'
import * as cancel from '../../examples/nextjs/app/api/jobs/[id]/cancel/route.ts'
import * as events from '../../examples/nextjs/app/api/jobs/[id]/events/route.ts'
import * as jobs from '../../examples/nextjs/app/api/jobs/route.ts'
import { training } from '../../examples/nextjs/lib/training.ts'
import type { FineTuningJob, FineTuningJobEvent } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const examples = readFileSync(join(root, 'assets/quickstart/train.jsonl'), 'utf8').split('\n').slice(0, 32).join('\n')
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-nextjs-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/saqr'))
  process.chdir(folder) // where its server is started
})
afterAll(async () => {
  await (await training()).close()
  process.chdir(root)
  rmSync(folder, { recursive: true, force: true })
})

const at = 'http://127.0.0.1:3000'
const post = (type: string, body: string | null) => new Request(at, { method: 'POST', headers: { 'content-type': type }, body })
const params = (id: string) => ({ params: Promise.resolve({ id }) })
const started = async (body: string) => ((await (await jobs.POST(post('application/jsonl', body))).json()) as { id: string }).id
const told = async (id: string, headers = {}) => {
  const response = await events.GET(new Request(at, { headers }), params(id))
  expect(response.headers.get('content-type')).toMatch('text/event-stream')
  const all = (await response.text()).trim().split('\n\n')
  const data = all.map((one) => JSON.parse(/^data: (.*)$/m.exec(one)![1]!))
  expect(all.at(-1)).toMatch(/^event: ended\n/)
  return { events: data.slice(0, -1) as FineTuningJobEvent[], job: data.at(-1) as FineTuningJob }
}

describe('the routes of examples/nextjs', () => {
  let trained: FineTuningJob

  it('a job starts, is told step by step, and succeeds', async () => {
    const { events, job } = await told(await started(examples))
    expect(job.status, JSON.stringify(job.error)).toBe('succeeded')
    // 32 examples in batches of 16, three times
    expect(events.filter(({ type }) => type === 'metrics').map(({ data }) => data.step)).toEqual([1, 2, 3, 4, 5, 6])
    const later = await told(job.id, { 'last-event-id': events[4]!.id })
    expect(later.events).toEqual(events.slice(5))
    const all = (await (await jobs.GET()).json()) as FineTuningJob[]
    expect(all.map(({ id }) => id)).toEqual([job.id])
    trained = job
  })

  it('what came of it answers, two at once as one', async () => {
    const ask = async (prompt: string) => {
      const response = await answers.POST(post('application/json', JSON.stringify({ model: trained.fine_tuned_model, prompt })))
      expect(response.status).toBe(200)
      return response.text()
    }
    const prompt = 'Julia ordered 30 golden mirrors to Oslo.\n'
    const [one, other] = await Promise.all([ask(prompt), ask(prompt)])
    expect(one).not.toBe('')
    expect(other).toBe(one)
  })

  it('one who goes away in the midst of an answer leaves the next his turn', async () => {
    const question = () => post('application/json', JSON.stringify({ model: trained.fine_tuned_model, prompt: 'Julia\n' }))
    await (await answers.POST(question())).body!.cancel()
    expect((await (await answers.POST(question())).text()).length).toBeGreaterThan(0)
  })

  it('bad examples fail the job, which names their line', async () => {
    const { job } = await told(await started(`${examples.split('\n')[0]}\n{"prompt":"a"}`))
    expect(job).toMatchObject({ status: 'failed', error: { code: 'invalid_training_file' } })
    expect(job.error!.message).toMatch(/line 2/)
    const late = await cancel.POST(post('application/json', '{}'), params(job.id))
    expect([late.status, await late.json()]).toMatchObject([400, { code: 'JOB_STATE' }])
  })

  it('what isn’t there, and what is no question, is told so', async () => {
    const none = await events.GET(new Request(at), params('ftjob-none'))
    expect([none.status, await none.json()]).toMatchObject([404, { code: 'JOB_NOT_FOUND' }])
    const unknown = await answers.POST(post('application/json', '{"model":"x","prompt":"y"}'))
    expect(unknown.status).toBe(404)
    for (const body of ['[', '{}', '{"model":"x","prompt":""}', JSON.stringify({ model: 'x', prompt: 'y'.repeat(4001) })]) {
      expect((await answers.POST(post('application/json', body))).status, body).toBe(400)
    }
  })

  it('a page of another site, which can send a plain text unasked, starts nothing', async () => {
    const before = (await training()).list().length
    expect((await jobs.POST(post('text/plain', examples))).status).toBe(415)
    expect((await answers.POST(post('text/plain', '{}'))).status).toBe(415)
    expect((await cancel.POST(post('text/plain', '{}'), params('x'))).status).toBe(415)
    expect((await training()).list().length).toBe(before)
  })
})
