/** What befalls jobs: paused, closed, killed, cancelled, a disk that is full. What comes out in the end is what an undisturbed job makes, to the bit. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import type { FineTuningJobs } from '../../src/index.ts'
import { lines, madeBy, type Place, place, SETTINGS, thirty } from './tiny.ts'

let p: Place
let file = ''
let expected: Record<string, string>
let jobs: FineTuningJobs
beforeAll(async () => {
  p = await place()
  jobs = await p.open()
  file = (await jobs.createFile(lines(24))).id
  expected = madeBy(jobs, await jobs.wait((await jobs.create(thirty(file))).id))
  await jobs.close()
})
afterEach(() => jobs.close())
afterAll(() => p.remove())

/** resolves when the job has done so many steps */
async function steps(id: string, count: number): Promise<void> {
  for await (const { data } of jobs.events(id)) if (data.train_loss !== undefined && data.step! >= count) return
}

const once = (messages: readonly string[]) =>
  expect(messages.filter((text, i) => /^Step/.test(text) && messages.indexOf(text) !== i)).toEqual([])

it('paused and resumed', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  // where its files are looked at, too
  expect((await jobs.pause(id)).status).toBe('paused')
  await jobs.resume(id)
  for (const count of [4, 17]) {
    await steps(id, count)
    expect((await jobs.pause(id)).status).toBe('paused')
    const told = jobs.listEvents(id).length
    await wait(300)
    // nothing more is told of it
    expect(jobs.listEvents(id).length).toBe(told)
    expect((await jobs.resume(id)).status).toMatch(/queued|running/)
  }
  expect(madeBy(jobs, await jobs.wait(id))).toEqual(expected)
  once(jobs.listEvents(id).map(({ message }) => message))
})

it('closed and opened again', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  await steps(id, 9)
  const waiting = jobs.wait(id)
  waiting.catch(() => {})
  await jobs.close()
  await expect(waiting).rejects.toMatchObject({ code: 'JOB_CLOSED' })
  await expect(jobs.create(thirty(file))).rejects.toMatchObject({ code: 'JOB_CLOSED' })
  jobs = await p.open()
  expect(madeBy(jobs, await jobs.wait(id))).toEqual(expected)
  once(jobs.listEvents(id).map(({ message }) => message))
})

const options = () => JSON.stringify({ jobsDir: p.jobsDir, models: { tiny: p.model }, ...SETTINGS })

/** a program with jobs; `limit`: blocks of 1 KiB that a file may have */
function program(request?: object, limit?: number): { child: ChildProcess; ended: Promise<void>; out: () => string[] } {
  const args = [join(import.meta.dirname, 'program.mjs'), options(), ...(request ? [JSON.stringify(request)] : [])]
  const child =
    limit === undefined
      ? spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      : spawn('bash', ['-c', `ulimit -f ${limit}; exec "$@"`, 'bash', process.execPath, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout!.on('data', (bytes: Buffer) => {
    text += bytes.toString()
  })
  return { child, ended: new Promise((resolve) => child.once('exit', () => resolve())), out: () => text.split('\n').slice(0, -1) }
}

it('killed at any moment', { timeout: 240_000 }, async () => {
  let request: object | undefined = thirty(file)
  let id = ''
  for (let kills = 0; kills < 8; kills++) {
    const { child, ended, out } = program(request)
    await vi.waitFor(() => expect(out().length).toBeGreaterThan(0), { timeout: 20_000, interval: 5 })
    id = out()[0]!
    request = undefined
    // behind its start, and within its steps
    const seen = () => out().filter((text) => /^Step .*training/.test(text)).length
    if (kills % 2 === 0) await wait(kills * 90 + 400 * Math.random())
    else await vi.waitFor(() => expect(seen() > 2 * kills || out().includes('succeeded')).toBe(true), { timeout: 20_000, interval: 2 })
    child.kill('SIGKILL')
    await ended
    // half of a line, as a power cut leaves it
    appendFileSync(join(p.jobsDir, 'jobs', id, 'events.jsonl'), '{"id":"ftevent-cut')
  }
  jobs = await p.open()
  const job = await jobs.wait(id)
  expect(madeBy(jobs, job)).toEqual(expected)
  once(jobs.listEvents(id).map(({ message }) => message))
})

it('cancelled at 20 moments', { timeout: 240_000 }, async () => {
  jobs = await p.open()
  const spent = await (async () => {
    const began = performance.now()
    const { id } = await jobs.create(thirty(file))
    await jobs.wait(id)
    return performance.now() - began
  })()
  for (let i = 0; i < 20; i++) {
    const { id } = await jobs.create(thirty(file))
    await wait((i / 20) * spent)
    const job = await jobs.cancel(id).catch((error) => {
      // it was done before
      expect(error.code).toBe('JOB_STATE')
      return jobs.retrieve(id)
    })
    expect(job.status).toMatch(/cancelled|succeeded/)
    if (job.status === 'succeeded') continue
    expect(job).toMatchObject({ fine_tuned_model: null, error: null, finished_at: expect.any(Number) })
    expect((await jobs.wait(id)).status).toBe('cancelled')
  }
  // none of them is in the way of the next, and nothing of them lies about
  const last = await jobs.wait((await jobs.create(thirty(file))).id)
  expect(madeBy(jobs, last)).toEqual(expected)
  for (const { id, status } of jobs.list()) {
    if (status !== 'cancelled') continue
    expect(readdirSync(join(p.jobsDir, 'jobs', id)).filter((name) => !/^(checkpoints|events.jsonl|job.json)$/.test(name))).toEqual([])
  }
})

it('a disk that is full: the job stands still, and goes on when there is room', { timeout: 120_000 }, async () => {
  // the trained adapter's file is larger than this: no checkpoint can be written
  const { child, out, ended } = program(thirty(file), 40)
  await vi.waitFor(() => expect(out().some((text) => /The job is paused: make room, and resume it/.test(text))).toBe(true), 60_000)
  expect(out().at(-1)).toMatch(/^The disk is full|larger than a file may be/)
  child.kill('SIGTERM')
  await ended
  jobs = await p.open()
  const { id, status } = jobs.list()[0]!
  expect(status).toBe('paused')
  await jobs.resume(id)
  expect(madeBy(jobs, await jobs.wait(id))).toEqual(expected)
})

it('what a kill left of an upload or of a job that was being made is swept', async () => {
  const upload = join(p.jobsDir, 'files', '.file-x.saqr-host-1')
  const job = join(p.jobsDir, 'jobs', `ftjob-${'a'.repeat(24)}`)
  for (const folder of [upload, job]) mkdirSync(folder)
  writeFileSync(join(upload, 'content'), 'half')
  jobs = await p.open()
  expect(existsSync(upload)).toBe(false)
  expect(existsSync(job)).toBe(false)
})

it('a process of the job that dies fails it, and no other', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  await steps(id, 2)
  const [pid] = childrenOf(process.pid)
  process.kill(pid!, 'SIGKILL')
  const job = await jobs.wait(id)
  expect(job.error).toMatchObject({
    code: 'server_error',
    message: expect.stringMatching(/ended by itself \(SIGKILL: is memory short\?\)/),
  })
  const next = await jobs.wait((await jobs.create(thirty(file))).id)
  expect(madeBy(jobs, next)).toEqual(expected)
})

/** processes that run a job of this one */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        return (
          Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('jobs/worker')
        )
      } catch {
        return false
      }
    })
}
