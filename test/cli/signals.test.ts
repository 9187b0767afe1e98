/** A command that is interrupted, or whose terminal, reader or parent goes away, saves what it has learned. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { tinyRows, writeTinyModel } from './tiny-model.ts'

const main = join(import.meta.dirname, '../../dist/command/main.js')
const folder = mkdtempSync(join(tmpdir(), 'saqr-signals-'))
beforeAll(async () => {
  await writeTinyModel(join(folder, 'model'))
  writeFileSync(join(folder, 'rows.jsonl'), tinyRows())
})
const left: number[] = []
afterAll(() => {
  for (const pid of left) process.kill(pid)
  rmSync(folder, { recursive: true })
})

type Child = ReturnType<typeof spawn>

/** A program that starts saqr by fork(), and lives until it is killed; told to, it lets go of saqr and ends a moment later. */
const FORKS = `
const { fork } = require('node:child_process')
const [detached, ...args] = process.argv.slice(1)
const child = fork(args[0], args.slice(1), { detached: detached === 'true', execArgv: [] })
console.log('pid ' + child.pid)
process.on('SIGUSR2', () => { child.disconnect(); child.unref() })
setInterval(() => {}, 1000)`
const forks = (...args: string[]) => ['-e', FORKS, 'false', ...args]

/** Trains without an end until `interrupt`, which is called once a step is logged. Returns the exit code, once its output is closed too. */
async function train(out: string, interrupt: (child: Child) => void, by = (...args: string[]) => args): Promise<number | null> {
  const files = ['--model_name_or_path', join(folder, 'model'), '--dataset_name', join(folder, 'rows.jsonl'), '--output_dir', out]
  const options = ['--no_bf16', '--device', 'cpu', '--max_steps', '1000000', '--logging_steps', '1', '--save_strategy', 'no']
  const child = spawn(process.execPath, by(main, 'sft', ...files, ...options), { stdio: ['ignore', 'pipe', 'pipe'] })
  let [said, done] = ['', false]
  child.stdout!.on('data', (text: Buffer) => {
    if (done) return
    said += text.toString()
    done = /^step 3\//m.test(said)
    if (done) interrupt(child)
  })
  child.stderr!.resume()
  return await new Promise((resolve) => child.once('close', resolve))
}

/** stopped, and what it had learned is saved */
function checkSaved(out: string): void {
  const [checkpoint, ...others] = readdirSync(out).sort()
  expect(others).toEqual(['loss.svg'])
  expect(checkpoint).toMatch(/^checkpoint-\d+$/)
  expect(existsSync(join(out, checkpoint!, 'saqr_run.json'))).toBe(true)
}

it.each([
  ['SIGINT', (child: Child) => child.kill('SIGINT')],
  ['SIGTERM', (child: Child) => child.kill('SIGTERM')],
  ['SIGHUP', (child: Child) => child.kill('SIGHUP')],
  [
    'SIGHUP, from the terminal and from the shell',
    (child: Child) => {
      child.kill('SIGHUP')
      setTimeout(() => child.kill('SIGHUP'), 5)
    },
  ],
  ['a reader that goes away', (child: Child) => child.stdout!.destroy()],
])('%s', async (name, interrupt) => {
  const out = join(folder, name)
  expect(await train(out, interrupt)).toBe(130)
  checkSaved(out)
})

it('a program that started it by fork and is gone', async () => {
  const out = join(folder, 'gone')
  await train(out, (child) => child.kill('SIGKILL'), forks) // its output is closed when the training has ended too
  checkSaved(out)
})

it.each([0, 40, 80])('a program that started a server by fork and is gone %d ms later', async (after) => {
  const serve = [main, 'serve', '--device', 'cpu', '--port', '0', '--model_name_or_path', join(folder, 'model')]
  const ends = `
    const { pid } = require('node:child_process').fork(process.argv[1], process.argv.slice(2), { execArgv: [] })
    require('node:fs').writeSync(1, 'pid ' + pid)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${after})`
  const program = spawn(process.execPath, ['-e', ends, ...serve], { stdio: ['ignore', 'pipe', 'ignore'] })
  program.stdout!.once('data', (text: Buffer) => left.push(Number(text.toString().slice('pid '.length))))
  await new Promise((resolve) => program.once('close', resolve)) // its output is the server's too
  left.pop()
})

it('started by fork: a command ends when it is done', async () => {
  const child = spawn(process.execPath, [main, '--version'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0) // the channel keeps no process
})

/** a server started by fork() by a program, and where it answers */
async function served(detached: boolean): Promise<{ program: Child; pid: number; url: string }> {
  const serve = [main, 'serve', '--device', 'cpu', '--port', '0', '--model_name_or_path', join(folder, 'model')]
  const program = spawn(process.execPath, ['-e', FORKS, String(detached), ...serve], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  return await new Promise((resolve) => {
    program.stdout!.on('data', (text: Buffer) => {
      said += text.toString()
      const url = /http:\/\/\S+:\d+/.exec(said)
      if (url && said.includes('models: ')) resolve({ program, pid: Number(/pid (\d+)/.exec(said)![1]), url: url[0] })
    })
  })
}

it.each([
  ['is gone: the server too', false, ['SIGKILL'], false],
  ['lets go of it and lives: it goes on', false, ['SIGUSR2'], true],
  ['started it detached, lets go of it and ends at once: it goes on', true, ['SIGUSR2', 'SIGTERM'], true],
])('a program that started a server by fork %s', async (_name, detached, signals, goesOn) => {
  const { program, pid, url } = await served(detached)
  if (goesOn) left.push(pid)
  if (!signals.includes('SIGTERM') && !signals.includes('SIGKILL')) left.push(program.pid!)
  const closed = new Promise((resolve) => program.once('close', () => resolve(false)))
  for (const signal of signals) {
    program.kill(signal as NodeJS.Signals)
    await new Promise((done) => setTimeout(done, 50))
  }
  // two seconds are more than it waits to see whether the program ends
  expect(await Promise.race([closed, new Promise((resolve) => setTimeout(() => resolve(true), 2000))])).toBe(goesOn)
  if (goesOn) expect((await fetch(url)).status).toBe(401) // it answers: without its key, nothing
})
