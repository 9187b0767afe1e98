/** One run in a folder at a time, and none that died keeps others out. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, describe, expect, it } from 'vitest'
import { lockFolder } from '../../src/train/lock.ts'

const work = mkdtempSync(join(tmpdir(), 'saqr-lock-'))
afterAll(() => rmSync(work, { recursive: true }))
let count = 0
function folder(): string {
  const path = join(work, String(count++))
  mkdirSync(path)
  return path
}
const fileOf = (path: string) => join(path, '.saqr-lock')

function hold(path: string, time = 10): { first: Promise<string>; ended: Promise<void> } {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'holder.mjs'), path, String(time)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return {
    first: new Promise((resolve) => child.stdout.once('data', (text: Buffer) => resolve(text.toString().trim()))),
    ended: new Promise((resolve) => child.once('exit', () => resolve())),
  }
}

describe('a folder', () => {
  it('in use is refused by name, and free again afterwards', () => {
    const path = folder()
    const unlock = lockFolder(path)
    expect(() => lockFolder(path)).toThrow(/is in use by a run of this process: wait for it, or give this run an outputDir of its own/)
    unlock()
    expect(existsSync(fileOf(path))).toBe(false)
    lockFolder(path)()
  })

  it('in use by another process is refused, and taken over when that has died', async () => {
    const path = folder()
    const { first, ended } = hold(path, 1500)
    expect(await first).toBe('got')
    expect(() => lockFolder(path)).toThrow(/is in use by process \d+ on /)
    await ended
    expect(existsSync(fileOf(path))).toBe(true)
    lockFolder(path)()
  })

  it('that a dead run left goes to one of many that want it at once', async () => {
    const path = folder()
    const dead = hold(path)
    await dead.ended
    const all = Array.from({ length: 8 }, () => hold(path, 3000))
    const answers = await Promise.all(all.map(({ first }) => first))
    expect(answers.filter((answer) => answer === 'got')).toHaveLength(1)
    expect(answers.filter((answer) => answer === 'TRAIN_LOCKED')).toHaveLength(7)
    await Promise.all(all.map(({ ended }) => ended))
  })
})

// no file of that process may have a byte
it.runIf(process.platform === 'linux')('a folder on a full disk is told, and neither it nor a file stays taken', () => {
  const path = folder()
  const tries = `
    import { lockFolder } from ${JSON.stringify(join(import.meta.dirname, '../../dist/train/lock.js'))}
    import { readdirSync } from 'node:fs'
    const open = () => readdirSync('/proc/self/fd').length
    const [before, codes] = [open(), []]
    for (let i = 0; i < 3; i++) try { lockFolder(process.argv[1]) } catch (error) { codes.push(error.code) }
    console.error(JSON.stringify({ codes, more: open() - before, left: readdirSync(process.argv[1]) }))`
  const run = ['ulimit -f 0; exec "$@"', 'bash', process.execPath, '--input-type=module', '-e', tries, path]
  const { stderr } = spawnSync('bash', ['-c', ...run], { encoding: 'utf8' })
  expect(JSON.parse(stderr)).toEqual({ codes: ['FORMAT_DISK_FULL', 'FORMAT_DISK_FULL', 'FORMAT_DISK_FULL'], more: 0, left: [] })
})

describe('a lock', () => {
  const age = (path: string, seconds: number) => utimesSync(fileOf(path), new Date(), new Date(Date.now() - seconds * 1000))
  const other = (changes: object): string => {
    const path = folder()
    const unlock = lockFolder(path)
    const mine = JSON.parse(readFileSync(fileOf(path), 'utf8'))
    unlock()
    writeFileSync(fileOf(path), JSON.stringify({ ...mine, ...changes }))
    return path
  }

  it('of another machine counts while it is touched', () => {
    const path = other({ host: 'elsewhere' })
    expect(() => lockFolder(path)).toThrow(/in use by process \d+ on elsewhere/)
    age(path, 300)
    lockFolder(path)()
  })

  it.runIf(process.platform === 'linux')('of an earlier process of the same number is none', () => {
    lockFolder(other({ started: '1' }))()
    lockFolder(other({ started: '1', pid: 1 }))()
  })

  it.runIf(process.platform === 'linux')('of a process that has ended is none, though its parent never asks how', async () => {
    // sh becomes a program that waits for nobody
    // a second: the shell itself would ask how, if its child ended before exec takes its place
    const parent = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 20'], { stdio: ['ignore', 'pipe', 'ignore'] })
    const pid = Number(String((await once(parent.stdout, 'data'))[0]))
    const fields = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
    while (fields()[0] !== 'Z') await new Promise((next) => setTimeout(next, 10))
    lockFolder(other({ pid, started: fields()[19]! }))()
    parent.kill()
  })

  it('where the system says nothing of a process: this one knows when it started itself, another counts while its number lives', () => {
    const nothing = () => ''
    const take = (path: string) => lockFolder(path, nothing)
    const since = Math.round(Date.now() - process.uptime() * 1000)
    expect(() => take(other({ started: '', since }))).toThrow(/in use by/)
    take(other({ started: '', since: since - 60_000 }))()
    const parent = other({ started: '', pid: process.ppid })
    // stopped or busy for minutes, it lives
    age(parent, 300)
    expect(() => take(parent)).toThrow(new RegExp(`in use by process ${process.ppid}`))
    const { pid } = spawnSync(process.execPath, ['-e', ''])
    take(other({ started: '', pid }))()
  })

  it('of another thread of this process is held, whatever the worker’s own clock says', async () => {
    const path = folder()
    const unlock = lockFolder(path, () => '')
    const tries = `
      const { parentPort, workerData } = require('node:worker_threads')
      process.uptime = () => 0 // as Bun's and Deno's is in a worker that has just begun
      setTimeout(() => import(workerData.module).then(({ lockFolder }) => {
        try { lockFolder(workerData.path, () => ''); parentPort.postMessage('taken') } catch (error) { parentPort.postMessage(error.code) }
      }), 2500)`
    const module = new URL('../../dist/train/lock.js', import.meta.url).href
    const worker = new Worker(tries, { eval: true, workerData: { module, path } })
    expect((await once(worker, 'message'))[0]).toBe('TRAIN_LOCKED')
    await worker.terminate()
    unlock()
  })

  it('that has no words yet counts for a moment: it is being written', () => {
    const path = folder()
    writeFileSync(fileOf(path), '')
    expect(() => lockFolder(path)).toThrow(/in use by another run/)
    age(path, 10)
    lockFolder(path)()
  })

  it('that another run took over is not removed', () => {
    const path = folder()
    const unlock = lockFolder(path)
    const text = readFileSync(fileOf(path), 'utf8').replace(/"pid":\d+/, '"pid":1')
    writeFileSync(fileOf(path), text)
    unlock()
    expect(readFileSync(fileOf(path), 'utf8')).toBe(text)
  })
})
