/** What befalls jobs: paused, closed, killed, cancelled, a disk that is full. What comes out in the end is what an undisturbed job makes, to the bit. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import type { FineTuningJobs } from '../../src/index.ts'
import { JobEngine } from '../../src/jobs/engine.ts'
import { cancelled, childrenOf, killed, once, program } from './disturbed.ts'
import { lines, madeBy, type Place, place, thirty } from './tiny.ts'

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
  const messages = jobs.listEvents(id).map(({ message }) => message)
  once(messages)
  // from where it was, not anew
  expect(messages.some((text) => /30 steps, \d+ of them done/.test(text))).toBe(true)
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
  const messages = jobs.listEvents(id).map(({ message }) => message)
  once(messages)
  // from where it was, not anew
  expect(messages.some((text) => /30 steps, \d+ of them done/.test(text))).toBe(true)
})

// twelve and twenty times: test/live/jobs.live.ts
it('killed three times', { timeout: 240_000 }, () => killed({ p, file, expected }, 3))
it('cancelled at four moments', { timeout: 240_000 }, () => cancelled({ p, file, expected }, 4))

it('a disk that is full: the job stands still, and goes on when there is room', { timeout: 120_000 }, async () => {
  // the trained adapter's file is larger than this: no checkpoint can be written
  const { child, out, ended } = program(p, thirty(file), 40)
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

it('lines of events that a power cut left in zeros, or that the disk damaged', async () => {
  jobs = await p.open()
  const { id } = await jobs.create({ ...thirty(file), suffix: 'cut' })
  await jobs.cancel(id)
  const told = jobs.listEvents(id)
  await jobs.close()
  const log = eventsOf(id)
  const whole = readFileSync(log)
  const first = whole.indexOf(10) + 1
  const damaged = [whole.subarray(0, first), '[1]\n', whole.subarray(first), Buffer.alloc(70), '\n{"id":\n', Buffer.alloc(9)]
  writeFileSync(log, Buffer.concat(damaged.map((part) => Buffer.from(part))))
  jobs = await p.open()
  expect(jobs.listEvents(id)).toEqual(told)
  // what stood at the end is gone, so that the next line is one of its own
  expect(readFileSync(log).length).toBe(whole.length + 4)
})

it('events that can’t be read: the file is named', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  await jobs.cancel(id)
  await jobs.close()
  const log = eventsOf(id)
  rmSync(log)
  mkdirSync(log)
  await expect(p.open()).rejects.toMatchObject({ code: 'FORMAT_NOT_A_FILE', message: expect.stringContaining(log) })
  rmSync(log, { recursive: true })
})

it('a change whose events the disk does not take: it is made, told, and its events are there again', async () => {
  jobs = await p.open()
  const { id } = await jobs.create({ ...thirty(file), suffix: 'cut' })
  await steps(id, 2)
  const waiting = jobs.wait(id)
  rmSync(eventsOf(id))
  mkdirSync(eventsOf(id))
  expect((await jobs.cancel(id)).status).toBe('cancelled')
  expect((await waiting).status).toBe('cancelled')
  expect(jobs.listEvents(id).at(-1)!.message).toBe('The job has been cancelled')
  await jobs.close()
  rmSync(eventsOf(id), { recursive: true })
  jobs = await p.open()
  expect(jobs.listEvents(id).map(({ message }) => message)).toEqual(['The job has been cancelled'])
})

it('events that a change could not write stand before those of the next', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  rmSync(eventsOf(id), { force: true })
  mkdirSync(eventsOf(id))
  await jobs.pause(id)
  rmSync(eventsOf(id), { recursive: true })
  await jobs.cancel(id)
  const last = jobs.listEvents(id).slice(-2)
  expect(last.map(({ message }) => message)).toEqual(['Fine-tuning job paused', 'The job has been cancelled'])
  await jobs.close()
  jobs = await p.open()
  expect(jobs.listEvents(id)).toEqual(last)
})

it('a process of the job that is killed: the job stands still and goes on, and no other waits for it', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  await steps(id, 8)
  const [pid] = childrenOf(process.pid)
  process.kill(pid!, 'SIGKILL')
  for await (const { level, message } of jobs.events(id)) {
    if (level !== 'error') continue
    expect(message).toMatch(
      /process was killed \(SIGKILL\), as systems do where memory is short. The job is paused: make room, and resume it/,
    )
    break
  }
  expect(jobs.retrieve(id)).toMatchObject({ status: 'paused', error: null, finished_at: null })
  const next = await jobs.wait((await jobs.create(thirty(file))).id)
  expect(madeBy(jobs, next)).toEqual(expected)
  await jobs.resume(id)
  expect(madeBy(jobs, await jobs.wait(id))).toEqual(expected)
  once(jobs.listEvents(id).map(({ message }) => message))
  // it went on from its first epoch's end
  expect(jobs.listEvents(id).some(({ message }) => /30 steps, \d+ of them done/.test(message))).toBe(true)
})

it('a process of the job that crashes fails it', async () => {
  jobs = await p.open()
  const { id } = await jobs.create(thirty(file))
  await steps(id, 2)
  process.kill(childrenOf(process.pid)[0]!, 'SIGABRT')
  expect((await jobs.wait(id)).error).toMatchObject({
    code: 'server_error',
    message: expect.stringMatching(/ended by itself \(SIGABRT\)/),
  })
})

it('a job that can’t be taken up: it stands still, and the folder is there for the others', async () => {
  jobs = await p.open()
  const { id } = await jobs.create({ ...thirty(file), suffix: 'up' })
  await steps(id, 2)
  await jobs.close()
  // as a kill leaves it, and no room to write it anew
  const saved = join(p.jobsDir, 'jobs', id, 'job.json')
  writeFileSync(saved, readFileSync(saved, 'utf8').replace('"status": "queued"', '"status": "running"'))
  const partial = join(p.jobsDir, 'jobs', id, `.job.json.saqr-${hostname()}-${process.pid}`)
  mkdirSync(partial)
  jobs = await p.open()
  expect(jobs.retrieve(id).status).toBe('paused')
  expect(jobs.listEvents(id).at(-1)!.message).toMatch(/job\.json.*The job is paused/)
  rmSync(partial, { recursive: true })
  await jobs.resume(id)
  expect(madeBy(jobs, await jobs.wait(id))).toEqual(expected)
})

it('what fails to open leaves the folder', async () => {
  vi.spyOn(JobEngine.prototype, 'start').mockImplementationOnce(() => {
    throw new Error('not today')
  })
  await expect(p.open()).rejects.toThrow('not today')
  jobs = await p.open()
})

const eventsOf = (id: string) => join(p.jobsDir, 'jobs', id, 'events.jsonl')
