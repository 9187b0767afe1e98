/** `saqr serve` as a command: what it prints, what it refuses before anything is opened, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serve } from '../../src/cli/verbs/serve.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { commandLine } from './saqr.ts'
import { writeTinyModel } from './tiny-model.ts'

const main = join(import.meta.dirname, '../../dist/command/main.js')
const folder = mkdtempSync(join(tmpdir(), 'saqr-serve-'))
const base = join(folder, 'tiny')
const adapter = join(folder, 'adapter')
beforeAll(async () => {
  await writeTinyModel(base)
  writeFileSync(join(base, 'chat_template.jinja'), "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}")
  const { model } = await FastLanguageModel.fromPretrained(base, { device: 'cpu', loadIn4bit: false, dtype: 'float32' })
  const tuned = FastLanguageModel.getPeftModel(model, { r: 4 })
  const { trainables } = tuned.language
  for (const name of trainables.names.filter((name) => name.includes('lora_B')))
    trainables.set(name, new Float32Array(trainables.get(name).length).fill(0.5))
  await tuned.savePretrained(adapter)
  await model.dispose()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** @returns what it printed until it listened */
async function started(...args: string[]): Promise<{ child: ChildProcess; out: string; exit: Promise<number | null> }> {
  const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const // it ends with this process
  const child = spawn(process.execPath, [main, 'serve', '--device', 'cpu', '--port', '0', ...args], { stdio: [...stdio] })
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let out = ''
  for await (const text of child.stdout!) {
    out += text
    if (out.includes('models: ')) break
  }
  return { child, out, exit }
}

const ask = { messages: [{ role: 'user' as const, content: 'the owl' }], temperature: 0, max_tokens: 200 }

it('prints where it is and its key, answers for each adapter, and ends when its answers have', async () => {
  const { child, out, exit } = await started('--model_name_or_path', base, '--adapters', `mine=${adapter}`)
  const [, url, key, models] = /^(http:\/\/127\.0\.0\.1:\d+\/v1)\nAPI key: (sk-saqr-[\w-]{43})\nmodels: (.*)\n$/.exec(out) ?? []
  expect(models).toBe('tiny, mine')
  const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 })
  const content = async (model: string) =>
    (await client.chat.completions.create({ ...ask, model, max_tokens: 8 })).choices[0]!.message.content
  expect(await content('mine')).not.toBe(await content('tiny'))
  const stream = await client.chat.completions.create({ ...ask, model: 'mine', stream: true })
  let finish: string | null | undefined
  let stopped = false
  for await (const { choices } of stream) {
    if (!stopped) child.kill('SIGINT')
    stopped = true
    finish = choices[0]?.finish_reason
  }
  expect(finish).toMatch(/stop|length/)
  expect(await exit).toBe(0)
})

it('an adapter’s folder is a model of its own name', async () => {
  const { child, out, exit } = await started('--model_name_or_path', adapter, '--api_key', 'sk-mine')
  expect(out).not.toContain('sk-mine')
  const client = new OpenAI({ baseURL: out.split('\n')[0]!, apiKey: 'sk-mine', maxRetries: 0 })
  expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['adapter'])
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
})

describe('refuses', () => {
  const saqr = commandLine({ serve })
  const refused = async (...args: string[]) => (await saqr('serve', '--device', 'cpu', ...args)).err
  it.each([
    ['no model', [], /--model_name_or_path/],
    ['adapters without a name', ['--adapters', 'x'], /--adapters: expected NAME=FOLDER, not "x"/],
    ['adapters of one name', ['--adapters', `a=${adapter}`, `a=${adapter}`], /two models would be named "a"/],
    ['an adapter that is none', ['--adapters', 'a=nowhere'], /FORMAT_NOT_FOUND: --adapters: nowhere is no folder of an adapter/],
    ['a key with spaces', ['--api_key', 'a b'], /--api_key.* a key without spaces/],
    ['an origin that is none', ['--allowed_origins', 'https://app.example/page'], /--allowed_origins.* origins such as/],
    ['another address than this machine’s own', ['--host', '0.0.0.0'], /--host 0\.0\.0\.0 is refused: it listens on 127\.0\.0\.1 only/],
    ['a port that is none', ['--port', '70000'], /--port/],
  ])('%s', async (what, args, message) => {
    expect(await refused(...(what === 'no model' ? [] : ['--model_name_or_path', base]), ...args)).toMatch(message)
  })

  it('nothing for what has no effect, but says so', async () => {
    const args = ['--model_name_or_path', base, '--job_memory', '8GB', '--adapters', 'a=nowhere']
    expect(await refused(...args)).toMatch(/^--job_memory has no effect without --jobs_dir\nerror FORMAT_NOT_FOUND/)
  })

  it('a port that is in use', async () => {
    const { child, out, exit } = await started('--model_name_or_path', base)
    const { port } = new URL(out.split('\n')[0]!)
    expect(await refused('--model_name_or_path', base, '--port', port)).toMatch(
      new RegExp(`^error SERVE_PORT: port ${port} is in use; choose another with --port`),
    )
    child.kill('SIGTERM')
    await exit
  })
})
