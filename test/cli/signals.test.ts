/** A command that is interrupted, or whose terminal or reader goes away, saves what it has learned. */
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
  const child = spawn(process.execPath, [main, 'sft', ...files, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  let done = false
  child.stdout.on('data', (text: Buffer) => {
    if (done || !/^step 3\//m.test(text.toString())) return
    done = true
    interrupt(child)
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
])('%s', async (name, interrupt) => {
  const out = join(folder, name)
  expect(await train(out, interrupt)).toBe(130)
  const [checkpoint, ...others] = readdirSync(out).sort()
  expect(others).toEqual(['loss.svg'])
  expect(checkpoint).toMatch(/^checkpoint-\d+$/)
  expect(existsSync(join(out, checkpoint!, 'saqr_run.json'))).toBe(true)
})
