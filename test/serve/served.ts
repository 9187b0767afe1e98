/** A server over a tiny model and an adapter of it, in this process, and the clients that ask it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { JobEngine } from '../../src/jobs/engine.ts'
import { servedAdapter } from '../../src/serve/load-adapter.ts'
import { ApiServer, type ServeSettings } from '../../src/serve/server.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

export const TEMPLATE =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

export const KEY = 'sk-test'

export interface Running {
  server: ApiServer
  url: string
  model: PretrainedModel
  client: OpenAI
  faults: unknown[]
  /** what jobs are kept in */
  jobsDir: string
  /** a request by hand, with the key */
  ask(path: string, init?: RequestInit): Promise<Response>
  stop(): Promise<void>
}

/**
 * @param template of the chat; models are `tiny` (the base) and `tuned` (an adapter that says something else)
 * @param jobs are fine-tuning jobs taken?
 */
export async function serveTiny({ template = TEMPLATE, origins = [] as string[], jobs = false } = {}): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'saqr-serve-'))
  await writeTinyModel(folder)
  writeFileSync(join(folder, 'chat_template.jinja'), template)
  const opened = await FastLanguageModel.fromPretrained(folder, { device: 'cpu', loadIn4bit: false, dtype: 'float32' })
  const tuned = FastLanguageModel.getPeftModel(opened.model, { r: 4 })
  const { trainables } = tuned.language
  for (const name of trainables.names.filter((name) => name.includes('lora_B')))
    trainables.set(name, new Float32Array(trainables.get(name).length).fill(0.5))
  const { tokenizer } = opened.model
  const faults: unknown[] = []
  const settings: ServeSettings = { key: KEY, origins, maxNewTokens: 16, onFault: (error) => faults.push(error) }
  const models = [
    { name: 'tiny', language: opened.model.language, tokenizer },
    { name: 'tuned', language: tuned.language, tokenizer },
  ]
  const jobsDir = join(folder, 'jobs')
  const engine = jobs ? new JobEngine(jobsDir) : null
  if (engine) {
    const base = { device: 'cpu', threads: 1, choice: opened.model.language.opened.choice, eosToken: null, chatTemplate: null }
    engine.start({ models: new Map([['tiny', { path: folder, revision: null }]]), base, memory: 1e9 })
    const open = (name: string, at: string) => servedAdapter(name, at, opened.model.language.opened, tokenizer, false)
    settings.jobs = { engine, firsts: [folder], reserved: 1e9, open }
  }
  const server = new ApiServer(models, settings)
  const url = `http://127.0.0.1:${await server.listen(0)}`
  return {
    server,
    url,
    model: opened.model,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 }),
    faults,
    jobsDir,
    ask: (path, init) => fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${KEY}`, ...init?.headers } }),
    async stop() {
      await Promise.all([server.close(), engine?.close()])
      await tuned.dispose()
      await opened.model.dispose()
      rmSync(folder, { recursive: true })
    },
  }
}
