/**
 * The Electron example's processes, with Node's in the place of Electron's: what the main process asks reaches what trains, and comes back. They
 * run as Electron lets them: no buffer of JavaScript's lies in memory that isn't its own.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Child, Trainer } from '../../examples/electron/src/calls.ts'
import type { Told } from '../../examples/electron/src/messages.ts'
import type { FineTuningJob, FineTuningJobEvent } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const caged = `--require ${join(import.meta.dirname, 'caged.cjs')}`
let folder = ''
let process_: ChildProcess | undefined
let places = {}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-electron-'))
  cpSync(join(root, 'examples/electron/src'), join(folder, 'src'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/saqr'))
  const quickstart = join(root, 'assets/quickstart')
  const rows = join(folder, 'rows.jsonl')
  writeFileSync(rows, readFileSync(join(quickstart, 'train.jsonl'), 'utf8').split('\n').slice(0, 32).join('\n'))
  places = { model: join(quickstart, 'model'), rows, jobsDir: join(folder, 'jobs') }
})
afterAll(async () => {
  // what it still writes would be left in the folder
  if (process_?.exitCode === null && process_.signalCode === null) {
    const ended = once(process_, 'exit')
    process_.kill()
    await ended
  }
  // the process of a job ends by itself when who started it is gone, and writes until then
  await vi.waitFor(() => rmSync(folder, { recursive: true, force: true }), { timeout: 20_000, interval: 100 })
})

function start(): Child {
  const args = [join(folder, 'src/trainer.ts'), JSON.stringify(places)]
  const child = fork(join(import.meta.dirname, 'parent-port.mjs'), args, {
    execArgv: ['--import', pathToFileURL(join(root, 'tools/ts.mjs')).href],
    env: { ...process.env, NODE_OPTIONS: caged, CUDA_VISIBLE_DEVICES: '' },
    serialization: 'advanced',
  })
  process_ = child
  return {
    postMessage: (message) => child.send(message as object),
    on: (event: 'message' | 'exit', hear: ((told: Told) => void) | ((code: number) => void)) => child.on(event, hear as () => void),
  }
}

it('what the preload script gives is no name that the page declares too, which would end the page’s script', () => {
  const text = (path: string) => readFileSync(join(root, 'examples/electron', path), 'utf8')
  const given = /exposeInMainWorld\('(\w+)'/.exec(text('src/preload.cts'))![1]!
  expect(text('page/page.js')).toContain(`window.${given}`)
  expect(text('page/page.js')).not.toMatch(new RegExp(`^(const|let|class|function) [^=]*\\b${given}\\b`, 'm'))
})

describe('examples/electron', () => {
  const trainer = new Trainer(start)
  let trained: FineTuningJob

  it('trains in a process of its own and is told each step', async () => {
    const events: FineTuningJobEvent[] = []
    trained = await trainer.call('train', { rows: null }, (event) => events.push(event))
    expect(trained.status, JSON.stringify(trained.error)).toBe('succeeded')
    expect(events.filter(({ type }) => type === 'metrics').map(({ data }) => data.step)).toEqual([1, 2, 3, 4, 5, 6])
    expect(await trainer.call('follow', {}, () => {})).toBeNull()
  })

  it('asks what came of it', async () => {
    const given = { model: trained.fine_tuned_model!, prompt: 'Julia ordered 30 golden mirrors to Oslo.\n' }
    const pieces: string[] = []
    expect(await trainer.call('ask', given, (piece) => pieces.push(piece))).toBeNull()
    expect(pieces.length).toBeGreaterThan(1)
  })

  it('is told what failed', async () => {
    await expect(trainer.call('train', { rows: join(folder, 'none.jsonl') }, () => {})).rejects.toThrow(/none\.jsonl/)
    await expect(trainer.call('ask', { model: 'none', prompt: 'x' }, () => {})).rejects.toThrow("there is no model 'none' here")
  })

  it('a job is cancelled; one that a killed process left goes on in the next', async () => {
    let began = () => {}
    const first = new Promise<void>((resolve) => (began = resolve))
    const rows = join(root, 'assets/quickstart/train.jsonl')
    const cancelled = trainer.call('train', { rows }, ({ type }) => type === 'metrics' && began())
    await first
    await trainer.call('cancel', {}, () => {})
    expect((await cancelled).status).toBe('cancelled')

    const second = new Promise<void>((resolve) => (began = resolve))
    const left = trainer.call('train', { rows }, ({ type }) => type === 'metrics' && began()).catch((error: Error) => error.message)
    await second
    process_!.kill('SIGKILL')
    expect(await left).toMatch('the process that trains has ended')
    let messages = ''
    const goesOn = new Promise<void>((resolve) => (began = resolve))
    const followed = trainer.call('follow', {}, ({ message, type, data }) => {
      messages += `${message}\n`
      if (type === 'metrics' && messages.includes('The job goes on') && data.step) began()
    })
    await goesOn
    await trainer.call('cancel', {}, () => {})
    expect((await followed)!.status).toBe('cancelled')
  })
})
