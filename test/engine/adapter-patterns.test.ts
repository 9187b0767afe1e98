/** Keys of rank_pattern and alpha_pattern that mean one module: the first counts, and still does in the file, which has them sorted. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { loraScale, rankOf } from '../../src/formats/peft/scale.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from './as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-patterns-'))
const at = (name: string) => join(folder, name)
const OPTIONS = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const
const fixture = (name: string) => join(import.meta.dirname, `../fixtures/training/${name}/model`)
const mixture = fixture('mixtral')

beforeAll(() => writeTinyModel(at('base')))
afterAll(() => rmSync(folder, { recursive: true }))

const trained = (model: PretrainedModel, options: object) => asTrained(model, options, { size: 0.3 })

async function merged(model: PretrainedModel, name: string) {
  await model.savePretrainedMerged(at(name))
  return new Map([...openCheckpoint(at(name)).tensors].map(([key, t]) => [key, t.load('f32').slice()]))
}

it.each([
  ['llama', { r: 2, loraAlpha: 2, targetModules: ['q_proj', 'v_proj', 'down_proj'], alphaPattern: { q_proj: 16, '.*_proj': 4 } }],
  [
    'mixtral',
    {
      ...{ r: 2, loraAlpha: 2, targetModules: ['q_proj', 'w1', 'w2', 'w3'], alphaPattern: { 'experts.*': 7, '.*': 3 } },
      rankPattern: { gate_up_proj: 3, down_proj: 1 },
    },
  ],
])('%s: an adapter whose keys overlap is what it was when it is read again', async (name, options) => {
  const base = name === 'llama' ? at('base') : mixture
  const { model } = await FastLanguageModel.fromPretrained(base, OPTIONS)
  const peft = trained(model, options)
  const before = await merged(peft, `${name}-before`)
  await peft.savePretrained(at(`${name}-adapter`))
  expect(FastLanguageModel.getPeftModel(peft, options)).toBe(peft)
  await model.dispose()
  const again = await FastLanguageModel.fromPretrained(at(`${name}-adapter`), OPTIONS)
  expect(await merged(again.model, `${name}-after`)).toEqual(before)
  expect(FastLanguageModel.getPeftModel(again.model, options)).toBe(again.model)
  await again.model.dispose()
  const config = readAdapterConfig(at(`${name}-adapter`))
  const scale = (path: string) => [rankOf(config, `model.layers.1.${path}`), loraScale(config, `model.layers.1.${path}`)]
  if (name === 'llama') {
    expect(scale('self_attn.q_proj')).toEqual([2, 8])
    expect(scale('mlp.down_proj')).toEqual([2, 2])
  } else {
    expect(scale('self_attn.q_proj')).toEqual([2, 1.5])
    expect(scale('mlp.experts.gate_up_proj')).toEqual([3, 7 / 3])
    expect(scale('mlp.experts.down_proj')).toEqual([1, 7])
  }
})

it('keys that say the same in any order are written as they are, and one that means nothing is told', async () => {
  const { model } = await FastLanguageModel.fromPretrained(at('base'), OPTIONS)
  const patterns = { alphaPattern: { v_proj: 16, q_proj: 4 }, rankPattern: { 'layers.1.*q_proj': 4, q_proj: 4 } }
  const peft = trained(model, { r: 2, targetModules: ['q_proj', 'v_proj'], ...patterns })
  await peft.savePretrained(at('plain'))
  expect(readAdapterConfig(at('plain'))).toMatchObject(patterns)
  const idle = { r: 2, targetModules: ['q_proj'], alphaPattern: { q_proj: 16, '.*': 4, k_porj: 3 } }
  expect(() => FastLanguageModel.getPeftModel(model, idle)).toThrow('alphaPattern names k_porj')
  await model.dispose()
})

it.each([
  ['llama', 'all-linear'],
  ['llama', '.*(q_proj|v_proj|norm)'],
  ['gpt-oss', 'all-linear'],
])('%s: overlapping keys over %s mean what gets a low-rank part, and no norm or router', async (name, targetModules) => {
  const { model } = await FastLanguageModel.fromPretrained(name === 'llama' ? at('base') : fixture(name), OPTIONS)
  const options = { r: 2, loraAlpha: 2, targetModules, alphaPattern: { q_proj: 16, '.*': 4 } }
  const peft = FastLanguageModel.getPeftModel(model, options)
  const config = peft.language.adapter.config!
  const adapted = peft.language.trainables.names
    .filter((key) => key.endsWith('.lora_A.weight'))
    .map((key) => key.replace('.lora_A.weight', ''))
  expect(Object.keys(config.alphaPattern).sort()).toEqual(adapted.map((path) => path.replaceAll('.', '\\.')).sort())
  for (const path of adapted) expect([path, loraScale(config, path)]).toEqual([path, path.endsWith('q_proj') ? 8 : 2])
  await model.dispose()
})

it.each([
  ['q_proj and the rest', { q_proj: 16, '.*_proj': 4 }, {}],
  ['q_proj alone', { q_proj: 16 }, {}],
  ['targets that are named', { q_proj: 16, '.*_proj': 4 }, { targetModules: ['q_proj', 'v_proj'] }],
  ['experts among them', { q_proj: 16, 'down.*': 5, '.*': 4 }, { targetModules: ['q_proj', 'w1', 'w2', 'w3'] }],
  [
    'tensors of a layer',
    { q_proj: 16, gate_up_proj: 5 },
    { targetParameters: ['model.layers.1.mlp.experts.gate_up_proj'], targetModules: ['q_proj'] },
  ],
  ['tensors beside the family’s', { q_proj: 16, '.*': 5 }, { targetParameters: ['mlp.gate.weight'] }],
  ['layers', { q_proj: 16, '.*_proj': 5 }, { targetModules: ['q_proj', 'v_proj'], layersToTransform: [1], excludeModules: ['v_proj'] }],
])('the same options give the same adapter back, whole or the patterns alone: %s', async (_, alphaPattern, targets) => {
  const { model } = await FastLanguageModel.fromPretrained(mixture, OPTIONS)
  const options = { r: 2, loraAlpha: 2, ...targets, alphaPattern, rankPattern: { q_proj: 3 } }
  const peft = FastLanguageModel.getPeftModel(model, options)
  for (const again of [options, { alphaPattern }, { rankPattern: { q_proj: 3 } }])
    expect(FastLanguageModel.getPeftModel(peft, again)).toBe(peft)
  expect(() => FastLanguageModel.getPeftModel(peft, { ...options, alphaPattern: { ...alphaPattern, q_proj: 15 } })).toThrow(
    'of another alphaPattern',
  )
  expect(() => FastLanguageModel.getPeftModel(peft, { rankPattern: { q_proj: 4 } })).toThrow('of another rankPattern')
  await model.dispose()
})
