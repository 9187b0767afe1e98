/** push_to_hub of a run, `saqr push`, and a model that a program uploads: to a local server that speaks the Hub's protocol. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { push } from '../../src/cli/verbs/push.ts'
import { sft } from '../../src/cli/verbs/sft.ts'
import { FastLanguageModel, loadDataset, pushToHub, SFTTrainer } from '../../src/index.ts'
import { commandLine } from '../cli/saqr.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'
import { type PushHub, startPushHub } from '../hub/push-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-pushed-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ push, sft })
let hub: PushHub
const files = (repo: string, branch = 'main') => [...(hub.repos.get(repo)?.branches.get(branch)?.keys() ?? [])].sort()

beforeAll(async () => {
  hub = await startPushHub()
  Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_TOKEN: hub.token, HF_HOME: at('home') })
  delete process.env.HF_HUB_OFFLINE
  await writeTinyModel(at('model'))
  writeFileSync(at('rows.jsonl'), tinyRows())
})
afterAll(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})

const args = () => ['--model_name_or_path', at('model'), '--dataset_name', at('rows.jsonl'), '--use_peft', '--use_cpu', '--max_steps', '2']

it('a command uploads what it trained, without checkpoints', async () => {
  const run = await saqr('sft', ...args(), '--save_steps', '1', '--output_dir', at('tiny-sft'), '--push_to_hub', '--hub_private_repo')
  expect(run.err).not.toContain('error')
  expect(run.out).toContain(`uploaded to ${hub.url}/falconer/tiny-sft`)
  expect(files('falconer/tiny-sft')).toEqual(
    expect.arrayContaining(['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'saqr.json']),
  )
  expect(files('falconer/tiny-sft').join()).not.toMatch(/checkpoint|optimizer|events/)
  expect(hub.repos.get('falconer/tiny-sft')).toMatchObject({ visibility: 'private', commits: [{ title: 'End of training' }] })
})

it('a token that may not write is told before anything is trained', async () => {
  const given = ['--output_dir', at('refused'), '--push_to_hub', '--hub_token', 'hf_read']
  const run = await saqr('sft', ...args(), ...given)
  expect(run).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/^error HUB_TOKEN: .*does not accept the access token/m) })
  expect((await saqr('sft', ...args(), '--output_dir', at('x'), '--hub_model_id', 'a/b')).err).toContain(
    '--hub_model_id has no effect without --push_to_hub',
  )
  expect((await saqr('sft', ...args(), '--push_to_hub', '--hub_strategy', 'checkpoint')).err).toContain('uploaded once')
})

it('a program’s trainer and model', async () => {
  const { model } = await FastLanguageModel.fromPretrained(at('model'), { device: 'cpu', loadIn4bit: false })
  const peft = FastLanguageModel.getPeftModel(model, { r: 2 })
  const told: unknown[] = []
  const trainer = new SFTTrainer({
    model: peft,
    trainDataset: await loadDataset(at('rows.jsonl')),
    args: { maxSteps: 1, outputDir: at('run'), pushToHub: true, hubModelId: 'falconry/run', hubToken: hub.token, hubRevision: 'v1' },
    callbacks: [(event) => void told.push(event)],
    report: 'none',
  })
  await trainer.train()
  expect(files('falconry/run', 'v1')).toContain('adapter_model.safetensors')
  expect(JSON.stringify(told)).toContain('<HUB_TOKEN>')
  expect(JSON.stringify(told)).not.toContain(hub.token)
  expect(readFileSync(at('run/README.md'), 'utf8')).not.toContain(hub.token)

  expect(await peft.pushToHub('falconry/adapter', { private: true, commitMessage: 'mine' })).toMatchObject({ repo: 'falconry/adapter' })
  expect(files('falconry/adapter')).toContain('adapter_config.json')
  await peft.pushToHubMerged('falconry/merged', null, { maxShardSize: '20KB' })
  expect(files('falconry/merged')).toContain('model.safetensors.index.json')
  await peft.pushToHubGguf('falconry/gguf', { quantizationMethod: ['f16', 'q8_0'] })
  expect(files('falconry/gguf')).toEqual(expect.arrayContaining(['README.md', 'gguf.F16.gguf', 'gguf.Q8_0.gguf']))
  await expect(peft.pushToHub('falconry/x', { token: 'wrong' })).rejects.toMatchObject({ code: 'HUB_TOKEN' })
  await expect(peft.pushToHub('')).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(peft.savePretrained(at('y'), { pushToHub: true } as never)).rejects.toThrow('model.pushToHub(repo) uploads')
  expect(await pushToHub(at('run'), 'falconry/run', { revision: 'v1' })).toMatchObject({ commit: null })
  await model.dispose()
})

it('saqr push', async () => {
  const run = await saqr('push', at('run'), 'falconry/again', '--include', '*.json', '--exclude', 'tokenizer*')
  expect(run).toMatchObject({ code: 0, out: expect.stringMatching(/falconry\/again: 2 files, commit abcdef/) })
  expect(files('falconry/again')).toEqual(['adapter_config.json', 'saqr.json'])
  expect((await saqr('push', at('run'), 'falconry/again', '--include', '*.json')).out).toMatch(/: \d+ files, 2 there already/)
  expect((await saqr('push', at('run'), 'falconry/again', '--include', '*.json')).out).toMatch(/all \d+ files are there already/)
  expect(await saqr('push', at('run'))).toMatchObject({ code: 1, err: expect.stringContaining('saqr push out owner/name') })
  expect(await saqr('push', at('nowhere'), 'a/b')).toMatchObject({ code: 1, err: expect.stringContaining('nowhere does not exist') })
  expect(await saqr('push', at('run'), 'a/b/c')).toMatchObject({ code: 1, err: expect.stringContaining('HUB_NAME') })
})
