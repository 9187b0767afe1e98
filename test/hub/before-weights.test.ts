/** What can be known without the weights is told before they are fetched. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { generate } from '../../src/cli/verbs/generate.ts'
import { sft } from '../../src/cli/verbs/sft.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { commandLine } from '../cli/saqr.ts'
import { tinyRows, writeTinyModel } from '../cli/tiny-model.ts'
import { type FakeHub, startHub } from './server.ts'

const saqr = commandLine({ sft, generate })
const FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']

let folder = ''
let hub: FakeHub
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-before-'))
  await writeTinyModel(join(folder, 'model'))
  const files = Object.fromEntries(FILES.map((name) => [name, readFileSync(join(folder, 'model', name))]))
  const config = JSON.parse(String(files['config.json']))
  const as = (changed: object) => ({
    files: { ...files, 'config.json': JSON.stringify({ ...config, ...changed }) },
    lfs: ['model.safetensors'],
  })
  hub = await startHub({
    'owner/model': as({}),
    'owner/other': as({ model_type: 'mamba' }),
    'owner/image': as({ model_type: 'llava', vision_config: { hidden_size: 8 } }),
  })
  Object.assign(process.env, { HF_ENDPOINT: hub.url, HF_HUB_CACHE: join(folder, 'cache'), HF_HUB_OFFLINE: '0' })
  writeFileSync(join(folder, 'bad.jsonl'), `{"text": 7}\n${tinyRows()}`)
  writeFileSync(join(folder, 'good.jsonl'), tinyRows())
})
afterAll(async () => {
  await hub.close()
  rmSync(folder, { recursive: true })
})
beforeEach(() => void hub.requests.splice(0))

const weights = () => hub.requests.filter((request) => request.includes('model.safetensors'))
const train = (model: string, rows: string, ...more: string[]) =>
  saqr(
    'sft',
    '--model_name_or_path',
    model,
    '--dataset_name',
    join(folder, rows),
    '--device',
    'cpu',
    '--max_steps',
    '1',
    '--output_dir',
    join(folder, 'out'),
    ...more,
  )

describe('before weights are fetched', () => {
  it('an unsupported model is named', async () => {
    const { err } = await saqr('generate', '--model_name_or_path', 'owner/other', '--device', 'cpu', 'x')
    expect(err).toContain('error MODEL_UNSUPPORTED: model_type "mamba" is not supported')
    expect(weights()).toEqual([])
  })

  it('a model of images is called one', async () => {
    await expect(FastLanguageModel.fromPretrained('owner/image', { device: 'cpu' })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/owner\/image \(model_type "llava"\) is a model of images and text/),
    })
    expect(weights()).toEqual([])
  })

  it.each([
    ['q_porj', /targetModules|lora_target_modules/, /did you mean q_proj\?/],
    ['q_proj gate_porj', /names gate_porj/, /did you mean gate_proj\?/],
  ])('targets that mean nothing: %s', async (targets, what, near) => {
    const { err } = await train('owner/model', 'good.jsonl', '--use_peft', '--lora_target_modules', ...targets.split(' '))
    expect(err).toMatch(/^error OPTION_MODULES: /m)
    expect(err).toMatch(what)
    expect(err).toMatch(near)
    expect(weights()).toEqual([])
  })

  it('an adapter whose targets mean nothing here', async () => {
    const adapter = join(folder, 'adapter')
    mkdirSync(adapter)
    const config = { peft_type: 'LORA', base_model_name_or_path: 'owner/model', r: 2, lora_alpha: 2, target_modules: ['gate_up_projs.0'] }
    writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify(config))
    const tensor = (half: string) => ({
      name: `base_model.model.model.layers.0.mlp.gate_up_projs.0.${half}.weight`,
      dtype: 'F32',
      shape: [2, 2],
      data: new Uint8Array(16),
    })
    await writeSafetensors(join(adapter, 'adapter_model.safetensors'), ['lora_A', 'lora_B'].map(tensor))
    const { err } = await saqr('generate', '--model_name_or_path', adapter, '--device', 'cpu', 'x')
    expect(err).toMatch(/^error OPTION_MODULES: .*gate_up_projs\.0.*match no module/m)
    expect(weights()).toEqual([])
  })

  it('a row that can’t be trained on is told', async () => {
    expect((await train('owner/model', 'bad.jsonl')).err).toContain('bad.jsonl, line 1: text must be a text, it is 7')
    expect(weights()).toEqual([])
  })

  it('so is one in a folder of a model without weights', async () => {
    rmSync(join(folder, 'model/model.safetensors'))
    expect((await train(join(folder, 'model'), 'bad.jsonl')).err).toContain('bad.jsonl, line 1')
    expect((await train(join(folder, 'model'), 'good.jsonl')).err).toContain('FORMAT_NO_WEIGHTS')
  })

  it('and rows that can be are prepared once', async () => {
    expect(await train('owner/model', 'good.jsonl')).toMatchObject({ code: 0 })
    expect(weights().length).toBeGreaterThan(0)
  })
})
