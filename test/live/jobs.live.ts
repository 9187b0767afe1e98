/** OpenAI's Python client, unmodified, against files and fine-tuning jobs; and jobs that are killed and cancelled more often than `npm test` has time for. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cancelled, killed, type Prepared } from '../jobs/disturbed.ts'
import { lines, madeBy, place, TEMPLATE, thirty } from '../jobs/tiny.ts'
import { KEY, type Running, serveTiny } from '../serve/served.ts'
import { oracle } from './oracle.ts'

let s: Running
beforeAll(async () => {
  s = await serveTiny({ jobs: true, template: TEMPLATE })
})
afterAll(async () => {
  await s.stop()
  expect(s.faults).toEqual([])
})

it('the Python client runs the whole loop', async () => {
  const rows = join(s.jobsDir, 'birds.jsonl')
  writeFileSync(rows, lines(24))
  const folder = await oracle('jobs', `${s.url}/v1`, KEY, rows)
  const loop = JSON.parse(readFileSync(join(folder, 'loop.json'), 'utf8'))
  const name = `ft:tiny:py:${loop.job.id.slice(-8)}`
  expect(loop.file).toMatchObject({ filename: 'birds.jsonl', bytes: lines(24).length, purpose: 'fine-tune' })
  expect(loop.content).toBe(lines(24).toString())
  expect(loop).toMatchObject({ before: ['tiny', 'tuned'], paused: 'paused', cancelled: 'cancelled', deleted: true })
  expect(loop.after).toContain(name)
  expect(loop.job).toMatchObject({ status: 'succeeded', fine_tuned_model: name, model: 'tiny', metadata: { a: 'b' }, seed: 1, error: null })
  // every field is one that the client knows
  expect(loop.unknown.filter((key: string) => key !== 'user_provided_suffix')).toEqual([])
  const messages = loop.events.map((event: { message: string }) => event.message)
  expect(messages[0]).toBe('The job has successfully completed')
  expect(messages.at(-1)).toBe(`Created fine-tuning job: ${loop.job.id}`)
  expect(messages.filter((text: string) => /training loss/.test(text))).toHaveLength(18)
  expect(loop.checkpoints.map((one: { step_number: number }) => one.step_number)).toEqual([18, 12, 6])
  expect(loop.results).toMatch(/^step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,/)
  expect(loop.jobs).toHaveLength(2)
  const [base, tuned, checkpoint] = Object.values(loop.answers)
  expect(tuned).not.toBe(base)
  expect(checkpoint).toBe(tuned)
  expect(loop.errors).toEqual([
    [400, 'invalid_value', 'model'],
    [400, 'invalid_value', 'training_file'],
    [400, 'unsupported_parameter', 'method.type'],
    [404, 'model_not_found', 'model'],
  ])
})

async function prepared(work: (prepared: Prepared) => Promise<void>): Promise<void> {
  const p = await place()
  try {
    const jobs = await p.open()
    const file = (await jobs.createFile(lines(24))).id
    const expected = madeBy(jobs, await jobs.wait((await jobs.create(thirty(file))).id))
    await jobs.close()
    await work({ p, file, expected })
  } finally {
    p.remove()
  }
}

it('killed twelve times', () => prepared((one) => killed(one, 12)))
it('cancelled at twenty moments', () => prepared((one) => cancelled(one, 20)))
