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
afterAll(() => rmSync(folder, { recursive: true }))

/** Trains without an end until `interrupt`, which is called once a step is logged. Returns the exit code. */
async function train(out: string, interrupt: (child: ReturnType<typeof spawn>) => void): Promise<number | null> {
  const files = ['--model_name_or_path', join(folder, 'model'), '--dataset_name', join(folder, 'rows.jsonl'), '--output_dir', out]
  const options = ['--no_bf16', '--device', 'cpu', '--max_steps', '1000000', '--logging_steps', '1', '--save_strategy', 'no']
  const child = spawn(process.execPath, [main, 'sft', ...files, ...options], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let [said, done] = ['', false]
  child.stdout!.on('data', (text: Buffer) => {
    if (done) return
    said += text.toString()
    done = /^step 3\//m.test(said)
    if (done) interrupt(child)
  })
  return await new Promise((resolve) => child.once('exit', resolve))
}

it.each([
  ['SIGINT', (child: ReturnType<typeof spawn>) => child.kill('SIGINT')],
  ['SIGTERM', (child: ReturnType<typeof spawn>) => child.kill('SIGTERM')],
  ['SIGHUP', (child: ReturnType<typeof spawn>) => child.kill('SIGHUP')],
  [
    'SIGHUP, from the terminal and from the shell',
    (child: ReturnType<typeof spawn>) => {
      child.kill('SIGHUP')
      setTimeout(() => child.kill('SIGHUP'), 5)
    },
  ],
  ['a reader that goes away', (child: ReturnType<typeof spawn>) => child.stdout!.destroy()],
  ['a program that started it by fork and is gone', (child: ReturnType<typeof spawn>) => child.disconnect()],
])('%s', async (name, interrupt) => {
  const out = join(folder, name)
  expect(await train(out, interrupt)).toBe(130)
  const [checkpoint, ...others] = readdirSync(out).sort()
  expect(others).toEqual(['loss.svg'])
  expect(checkpoint).toMatch(/^checkpoint-\d+$/)
  expect(existsSync(join(out, checkpoint!, 'saqr_run.json'))).toBe(true)
})

it('started by fork: a command ends when it is done, a server when the program is gone', async () => {
  const fork = (...args: string[]) => spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'ignore', 'ipc'] })
  const ended = (child: ReturnType<typeof spawn>) => new Promise((resolve) => child.once('exit', resolve))
  expect(await ended(fork('--version'))).toBe(0) // the channel keeps no process
  const server = fork('serve', '--device', 'cpu', '--port', '0', '--model_name_or_path', join(folder, 'model'))
  for await (const text of server.stdout!) if (String(text).includes('models: ')) break
  server.disconnect()
  expect(await ended(server)).toBe(0)
})
