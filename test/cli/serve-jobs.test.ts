/** `saqr serve --jobs_dir`: a server that is killed, ended and started again goes on with its jobs, and answers with what they made. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serve } from '../../src/cli/verbs/serve.ts'
import { childrenOf, gone } from '../jobs/disturbed.ts'
import { lines, type Place, place, thirty } from '../jobs/tiny.ts'
import { commandLine } from './saqr.ts'

const main = join(import.meta.dirname, '../../dist/command/main.js')
let p: Place
beforeAll(async () => {
  p = await place()
})
afterAll(() => p.remove())

const settings = () => [
  '--model_name_or_path',
  p.model,
  '--no_bf16',
  '--device',
  'cpu',
  '--threads',
  '1',
  '--port',
  '0',
  '--jobs_dir',
  p.jobsDir,
]

async function started(): Promise<{ child: ChildProcess; client: OpenAI; exit: Promise<number | null>; out: string }> {
  const args = [main, 'serve', ...settings(), '--api_key', 'sk-test', '--job_memory', '1GB']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] }) // it ends with this process
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let out = ''
  for await (const text of child.stdout!) {
    out += text
    if (/models: .*\n/.test(out)) break
  }
  const client = new OpenAI({ baseURL: out.split('\n')[0]!, apiKey: 'sk-test', maxRetries: 0 })
  return { child, client, exit, out }
}

async function ended(client: OpenAI, id: string) {
  for (;;) {
    const job = await client.fineTuning.jobs.retrieve(id)
    if (/succeeded|failed|cancelled/.test(job.status)) return job
    await wait(50)
  }
}

async function stepsOf(client: OpenAI, id: string, count: number): Promise<void> {
  for (;;) {
    const { data } = await client.fineTuning.jobs.listEvents(id, { limit: 1 })
    if (Number((data[0]?.data as { step?: number } | undefined)?.step) >= count) return
    await wait(5)
  }
}

const weights = (id: string) =>
  createHash('sha256')
    .update(readFileSync(join(p.jobsDir, 'jobs', id, 'model/adapter_model.safetensors')))
    .digest('hex')

it('killed and started again: the job ends with the bits of one that nobody disturbed', { timeout: 240_000 }, async () => {
  let s = await started()
  expect(s.out).toMatch(/\nfine-tuning jobs: .*, one at a time, in 1\.0 GB of memory\nmodels: tiny\n$/)
  const training_file = (await s.client.files.create({ file: await toFile(lines(24), 'rows.jsonl'), purpose: 'fine-tune' })).id
  const { id } = await s.client.fineTuning.jobs.create(thirty(training_file))
  for (const count of [4, 15]) {
    await stepsOf(s.client, id, count)
    const [trains] = childrenOf(s.child.pid!)
    s.child.kill('SIGKILL')
    await s.exit
    await gone(trains!) // nobody's process goes on
    s = await started()
  }
  // and one that is told to end saves where it is
  const { id: second } = await s.client.fineTuning.jobs.create(thirty(training_file))
  const first = await ended(s.client, id)
  await stepsOf(s.client, second, 8)
  s.child.kill('SIGTERM')
  expect(await s.exit).toBe(0)
  s = await started()
  const other = await ended(s.client, second)
  expect(other.status).toBe('succeeded')
  const { id: undisturbed } = await s.client.fineTuning.jobs.create(thirty(training_file))
  const whole = await ended(s.client, undisturbed)
  expect([weights(id), weights(second)]).toEqual([weights(undisturbed), weights(undisturbed)])
  const results = await Promise.all(
    [first, other, whole].map(async ({ result_files }) => (await s.client.files.content(result_files[0]!)).text()),
  )
  expect(results[0]).toBe(results[2])
  expect(results[1]).toBe(results[2])
  // what was made before it was started answers
  s.child.kill('SIGTERM')
  expect(await s.exit).toBe(0)
  s = await started()
  expect(s.out).toContain(first.fine_tuned_model!)
  const asked = { messages: [{ role: 'user' as const, content: 'bird 3' }], temperature: 0, max_tokens: 8 }
  const answer = async (model: string) => (await s.client.chat.completions.create({ ...asked, model })).choices[0]!.message.content
  expect(await answer(first.fine_tuned_model!)).toBe(await answer(whole.fine_tuned_model!))
  expect(await answer(first.fine_tuned_model!)).not.toBe(await answer('tiny'))
  // another has the folder
  const saqr = commandLine({ serve })
  expect((await saqr('serve', ...settings())).err).toMatch(/^error JOB_FOLDER: --jobs_dir: .* is in use by process \d+/)
  s.child.kill('SIGTERM')
  await s.exit
})

it('refuses more memory than there is, and memory for jobs without a folder for them', async () => {
  const saqr = commandLine({ serve })
  expect((await saqr('serve', ...settings(), '--job_memory', '900TB')).err).toMatch(
    /^error OPTION_INVALID: --job_memory 900TB: .* GB are free/,
  )
  const without = settings().slice(0, -2)
  expect((await saqr('serve', ...without, '--job_memory', '1GB', '--port', 'x')).err).toMatch(/--port/)
})
