/** Jobs that are killed and cancelled, so often: what comes out in the end is what an undisturbed job makes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, vi } from 'vitest'
import { madeBy, type Place, SETTINGS, thirty } from './tiny.ts'

/** A place with a file of examples, and what the job of thirty steps makes of it. */
export interface Prepared {
  p: Place
  file: string
  expected: Record<string, string>
}

/** No step is told twice. */
export const once = (messages: readonly string[]) =>
  expect(messages.filter((text, i) => /^Step/.test(text) && messages.indexOf(text) !== i)).toEqual([])

/** A program with jobs; `limit`: blocks of 1 KiB that a file may have. */
export function program(p: Place, request?: object, limit?: number): { child: ChildProcess; ended: Promise<void>; out: () => string[] } {
  const options = JSON.stringify({ jobsDir: p.jobsDir, models: { tiny: p.model }, ...SETTINGS })
  const args = [join(import.meta.dirname, 'program.mjs'), options, ...(request ? [JSON.stringify(request)] : [])]
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

/** At its start, and within its steps. */
export async function killed({ p, file, expected }: Prepared, count: number): Promise<void> {
  let request: object | undefined = thirty(file)
  let id = ''
  for (let kills = 0; kills < count; kills++) {
    const { child, ended, out } = program(p, request)
    await vi.waitFor(() => expect(out().length).toBeGreaterThan(0), { timeout: 30_000, interval: 5 })
    id = out()[0]!
    request = undefined
    const seen = () => out().filter((text) => /^Step .*training/.test(text)).length
    const steps = (24 / count) * kills
    if (kills % 2 === 0) await wait(1200 * Math.random())
    else await vi.waitFor(() => expect(seen() > steps || out().includes('succeeded')).toBe(true), { timeout: 60_000, interval: 2 })
    child.kill('SIGKILL')
    await ended
    // half of a line, as a power cut leaves it
    appendFileSync(join(p.jobsDir, 'jobs', id, 'events.jsonl'), '{"id":"ftevent-cut')
  }
  const jobs = await p.open()
  const job = await jobs.wait(id)
  expect(madeBy(jobs, job)).toEqual(expected)
  once(jobs.listEvents(id).map(({ message }) => message))
  await jobs.close()
}

/** From its making to its end. */
export async function cancelled({ p, file, expected }: Prepared, count: number): Promise<void> {
  const jobs = await p.open()
  const began = performance.now()
  await jobs.wait((await jobs.create(thirty(file))).id)
  const spent = performance.now() - began
  for (let i = 0; i < count; i++) {
    const { id } = await jobs.create(thirty(file))
    await wait((i / count) * spent)
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
    const left = readdirSync(join(p.jobsDir, 'jobs', id))
    expect(left.filter((name) => !/^(checkpoints|events.jsonl|job.json)$/.test(name))).toEqual([])
  }
  await jobs.close()
}

/** processes that run a job of one */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        return (
          Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('job-worker')
        )
      } catch {
        return false
      }
    })
}

/** Resolves when there is no such process any more. */
export async function gone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await wait(20)
}
