/** Adapters combined by weights: the tensors (of svd their product) that PEFT's add_weighted_adapter makes of the same adapters. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { FastLanguageModel, type WeightedAdapterOptions } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { readTensors } from '../parity/family-case.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'saqr-weighted-'))
const at = (name: string) => join(folder, name)
type Tensors = ReturnType<typeof readTensors>
const OPTIONS = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const
const ADAPTERS = [
  { r: 4, loraAlpha: 8, targetModules: ['q_proj', 'v_proj'] },
  { r: 4, loraAlpha: 6, targetModules: ['q_proj', 'down_proj'], rankPattern: {}, alphaPattern: { down_proj: 3 } },
  { r: 2, loraAlpha: 2, targetModules: ['q_proj', 'v_proj', 'down_proj'] },
  { r: 4, loraAlpha: 4, useRslora: true, targetModules: ['q_proj', 'v_proj', 'down_proj'] },
]

beforeAll(async () => {
  await writeTinyModel(at('base'))
  for (const [n, options] of ADAPTERS.entries()) {
    const { model } = await FastLanguageModel.fromPretrained(at('base'), OPTIONS)
    const peft = FastLanguageModel.getPeftModel(model, options)
    const { trainables } = peft.language
    for (const name of trainables.names) {
      const { rows, cols } = trainables.shape(name)
      trainables.set(
        name,
        Float32Array.from({ length: rows * cols }, (_, i) => 0.2 * Math.sin(i * (1.3 + n) + name.length)),
      )
    }
    await peft.savePretrained(at(`a${n}`))
    await model.dispose()
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

const PEFT_NAMES: Record<string, string> = { density: 'density', majoritySignMethod: 'majority_sign_method', svdRank: 'svd_rank' }

const nameOf = (options: WeightedAdapterOptions, chosen: readonly number[], of: string) =>
  `${of}-${[...Object.values(options), ...chosen].join('-')}`

/** tensors of the mixes that PEFT and saqr make of adapters, by weights */
async function mixes(options: WeightedAdapterOptions, chosen: readonly number[], weights: readonly number[]): Promise<[Tensors, Tensors]> {
  const { combinationType, ...more } = options
  const [own, out] = ['saqr', 'peft'].map((of) => at(nameOf(options, chosen, of))) as [string, string]
  const given = chosen.map((n, i) => `${at(`a${n}`)}=${weights[i]}`)
  const theirs = { combination_type: combinationType, ...Object.fromEntries(Object.entries(more).map(([key, x]) => [PEFT_NAMES[key], x])) }
  const run = spawnSync(inject('python'), [join(root, 'tools/oracle/weighted.py'), at('base'), out, JSON.stringify(theirs), ...given], {
    encoding: 'utf8',
  })
  expect(run.status, run.stderr.slice(-2000)).toBe(0)
  const { model } = await FastLanguageModel.fromPretrained(at(`a${chosen[0]}`), OPTIONS)
  for (const n of chosen.slice(1)) await model.loadAdapter(at(`a${n}`), `a${n}`)
  await model.addWeightedAdapter(['default', ...chosen.slice(1).map((n) => `a${n}`)], weights, 'mix', options)
  await model.savePretrained(own, { selectedAdapters: ['mix'] })
  await model.dispose()
  return [own, out].map((path) => readTensors(join(path, 'mix/adapter_model.safetensors'))) as [Tensors, Tensors]
}

it.each<[WeightedAdapterOptions, readonly number[], readonly number[]]>([
  [{ combinationType: 'cat' }, [0, 1, 2], [0.7, -0.3, 1.5]],
  [{ combinationType: 'linear' }, [0, 1], [0.6, -0.8]],
  [{ combinationType: 'cat' }, [0], [0.5]],
  [{ combinationType: 'magnitude_prune', density: 0.4 }, [0, 1, 3], [0.6, -0.8, 0.3]],
  [{ combinationType: 'magnitude_prune', density: 1 }, [0, 1], [0.6, 1]],
  [{ combinationType: 'ties', density: 0.5 }, [0, 1, 3], [0.6, -0.8, 1.2]],
  [{ combinationType: 'ties', density: 0.7, majoritySignMethod: 'frequency' }, [0, 1, 3], [0.6, 0.8, 1.2]],
])(
  '%j of %j by %j',
  async (options, chosen, weights) => {
    const [ours, theirs] = await mixes(options, chosen, weights)
    expect(new Set(ours.keys())).toEqual(new Set(theirs.keys()))
    for (const [name, values] of theirs) {
      const mine = ours.get(name)!
      expect(mine.length, name).toBe(values.length)
      // one product and a sum of two or three in f32, of numbers below 1
      for (const [i, x] of values.entries()) expect(Math.abs(mine[i]! - x), name).toBeLessThan(3e-7)
    }
  },
  300_000,
)

it.each<[WeightedAdapterOptions, readonly number[], readonly number[]]>([
  [{ combinationType: 'svd' }, [0, 1, 2], [0.7, -0.3, 1.5]],
  [{ combinationType: 'svd', svdRank: 2 }, [0, 1], [0.6, -0.8]],
  [{ combinationType: 'svd', svdRank: 9 }, [0, 2], [1, 1]],
])(
  '%j of %j by %j: the same product, whichever way its vectors point',
  async (options, chosen, weights) => {
    const [ours, theirs] = await mixes(options, chosen, weights)
    expect(new Set(ours.keys())).toEqual(new Set(theirs.keys()))
    const [rank, same] = ['saqr', 'peft'].map((of) => readAdapterConfig(join(at(nameOf(options, chosen, of)), 'mix')).r) as [number, number]
    expect(rank).toBe(same)
    for (const [name, a] of theirs) {
      if (!name.endsWith('lora_A.weight')) continue
      const other = name.replace('lora_A', 'lora_B')
      const [mine, wanted] = [product(ours.get(other)!, ours.get(name)!, rank), product(theirs.get(other)!, a, rank)]
      expect(mine.length).toBe(wanted.length)
      const most = Math.max(...wanted.map(Math.abs))
      // LAPACK's singular values and vectors in f32: a few 2^-23 of the largest for each of some thirty channels
      for (const [i, x] of wanted.entries()) expect(Math.abs(mine[i]! - x), name).toBeLessThan(1e-5 * most)
    }
  },
  300_000,
)

it('PEFT combines no adapters of experts: the day it does, saqr has to', () => {
  const fixture = join(root, 'test/fixtures/families/mixtral-experts')
  const given = [1, 2].map((weight) => `${join(fixture, 'adapter')}=${weight}`)
  const script = join(root, 'tools/oracle/weighted.py')
  const run = spawnSync(inject('python'), [script, join(fixture, 'model'), at('none'), '{"combination_type": "cat"}', ...given], {
    encoding: 'utf8',
  })
  expect(run.stderr).toContain('add_weighted_adapter does not support targeting nn.Parameter')
  expect(run.status).not.toBe(0)
}, 300_000)

/** B [rows, rank] · A [rank, cols] */
function product(b: Float32Array, a: Float32Array, rank: number): number[] {
  const [rows, cols] = [b.length / rank, a.length / rank]
  return Array.from({ length: rows * cols }, (_, i) => {
    let sum = 0
    for (let k = 0; k < rank; k++) sum += b[Math.floor(i / cols) * rank + k]! * a[k * cols + (i % cols)]!
    return sum
  })
}
