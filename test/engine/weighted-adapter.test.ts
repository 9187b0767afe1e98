/** Adapters as one by weights: cat does what they do together, linear what its formula says, and what is no low-rank part is refused. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exportModel } from '../../src/cli/verbs/export.ts'
import { combine } from '../../src/engine/combine.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { readAdapterConfig } from '../../src/formats/peft/config.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from './as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-weighted-'))
const at = (name: string) => join(folder, name)
const OPTIONS = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const
let model: PretrainedModel

async function adapter(name: string, seed: number, options: object): Promise<void> {
  const { model: base } = await FastLanguageModel.fromPretrained(at('base'), OPTIONS)
  await asTrained(base, options, { step: seed }).savePretrained(at(name))
  await base.dispose()
}

beforeAll(async () => {
  await writeTinyModel(at('base'))
  await adapter('a', 1.3, { r: 4, loraAlpha: 8, targetModules: ['q_proj', 'v_proj'] })
  await adapter('b', 1.7, { r: 4, loraAlpha: 2, useRslora: true, targetModules: ['q_proj', 'down_proj'] })
  await adapter('c', 2.1, { r: 2, loraAlpha: 2, targetModules: ['q_proj'] })
  await adapter('all', 1.9, { r: 3, targetModules: 'all-linear' })
  await adapter('few', 1.1, { r: 3, targetModules: '.*[02].*q_proj' })
  await adapter('saved', 2.3, { r: 2, targetModules: ['q_proj'], modulesToSave: ['lm_head'] })
  await adapter('without', 2.7, { r: 2, targetModules: ['q_proj', 'o_proj'], excludeModules: ['o_proj', 'layers.0.self_attn.q_proj'] })
  await adapter('with', 3.1, { r: 2, targetModules: ['o_proj'] })
  ;({ model } = await FastLanguageModel.fromPretrained(at('a'), OPTIONS))
  for (const name of ['b', 'c', 'all', 'few', 'saved', 'without', 'with']) await model.loadAdapter(at(name), name)
})
afterAll(async () => {
  await model.dispose()
  rmSync(folder, { recursive: true })
})

/** of the model in that folder, by name */
const weights = (name: string) => new Map([...openCheckpoint(at(name)).tensors].map(([key, t]) => [key, asF32(t.load('f32'))]))
const merged = async (name: string) => {
  model.setAdapter(name)
  await model.savePretrainedMerged(at(`merged-${name}`))
  return weights(`merged-${name}`)
}

it('cat is the weighted sum of what each changes, whatever their ranks, scales and modules', async () => {
  await model.addWeightedAdapter(['default', 'b', 'c'], [0.7, -0.3, 1.5], 'mix')
  expect(model.adapterNames).toContain('mix')
  expect(model.activeAdapter).toBe('default')
  const base = weights('base')
  const [a, b, c, mix] = [await merged('default'), await merged('b'), await merged('c'), await merged('mix')]
  let changed = 0
  for (const [key, values] of base)
    for (const [i, w] of values.entries()) {
      const wanted = w + 0.7 * (a.get(key)![i]! - w) - 0.3 * (b.get(key)![i]! - w) + 1.5 * (c.get(key)![i]! - w)
      // each merged weight is rounded to f32 once: 2^-24 of weights and changes of at most 1, a few of them
      expect(Math.abs(mix.get(key)![i]! - wanted)).toBeLessThan(1e-6)
      changed += Number(Math.abs(wanted - w) > 1e-3)
    }
  expect(changed).toBeGreaterThan(1000)
  expect(model.language.adapter.config).toMatchObject({
    r: 10,
    loraAlpha: 10,
    useRslora: false,
    targetModules: ['down_proj', 'q_proj', 'v_proj'],
  })
})

it('what one excludes and another adapts is there', async () => {
  await model.addWeightedAdapter(['without', 'with'], [1, 1], 'both')
  const [base, a, b, both] = [weights('base'), await merged('without'), await merged('with'), await merged('both')]
  const changed = new Set<string>()
  for (const [key, values] of base)
    for (const [i, w] of values.entries()) {
      const wanted = w + (a.get(key)![i]! - w) + (b.get(key)![i]! - w)
      expect(Math.abs(both.get(key)![i]! - wanted)).toBeLessThan(1e-6) // as above
      if (Math.abs(wanted - w) > 1e-3) changed.add(key)
    }
  expect([...changed].some((key) => key.includes('o_proj'))).toBe(true)
  expect(changed).not.toContain('model.layers.0.self_attn.q_proj.weight')
  expect(model.language.adapter.config!.excludeModules).toBeNull()
  await model.addWeightedAdapter(['without'], [1], 'alone')
  model.setAdapter('alone')
  expect(model.language.adapter.config!.excludeModules).toEqual(['o_proj', 'layers.0.self_attn.q_proj'])
})

it('all-linear is what it means', async () => {
  await model.addWeightedAdapter(['c', 'all'], [-0.5, 2], 'everything')
  const [base, c, all, both] = [weights('base'), await merged('c'), await merged('all'), await merged('everything')]
  const changed = [...base].filter(([key, values]) => {
    for (const [i, w] of values.entries()) {
      const wanted = w - 0.5 * (c.get(key)![i]! - w) + 2 * (all.get(key)![i]! - w)
      // as above; a weight of 2 doubles what one is rounded by
      expect(Math.abs(both.get(key)![i]! - wanted)).toBeLessThan(2e-6)
    }
    return values.some((w, i) => Math.abs(both.get(key)![i]! - w) > 1e-3)
  })
  expect(new Set(changed.map(([key]) => key.split('.').at(-2)))).toEqual(new Set(model.language.adapter.config!.targetModules))
  expect(model.language.adapter.config!.targetModules).toEqual([
    'down_proj',
    'gate_proj',
    'k_proj',
    'o_proj',
    'q_proj',
    'up_proj',
    'v_proj',
  ])
})

it('svd of their whole rank is cat, of a lower one the nearest to it', async () => {
  await model.addWeightedAdapter(['default', 'b', 'c'], [0.7, -0.3, 1.5], 'svd10', { combinationType: 'svd', svdRank: 10 })
  await model.addWeightedAdapter(['default', 'b', 'c'], [0.7, -0.3, 1.5], 'svd4', { combinationType: 'svd' })
  const [base, whole, same, less] = [weights('base'), weights('merged-mix'), await merged('svd10'), await merged('svd4')]
  expect(model.language.adapter.config).toMatchObject({ r: 4, loraAlpha: 4 })
  for (const [key, values] of whole) {
    const [all, lost] = [norm(values, base.get(key)!), norm(values, less.get(key)!)]
    // singular vectors in f64, each factor rounded to f32 once
    for (const [i, w] of values.entries()) expect(Math.abs(same.get(key)![i]! - w)).toBeLessThan(1e-6)
    if (all > 0) expect(lost).toBeLessThan(all)
  }
})

const norm = (x: Float32Array, y: Float32Array) => Math.hypot(...x.map((one, i) => one - y[i]!))

it('pruning keeps the largest of each, and ties where their signs agree', async () => {
  await model.addWeightedAdapter(['default', 'b'], [1, 1], 'pruned', { combinationType: 'magnitude_prune', density: 0.25 })
  await model.addWeightedAdapter(['default', 'b'], [1, 1], 'none', { combinationType: 'ties', density: 0 })
  model.setAdapter('pruned')
  const key = model.language.trainables.names.find((name) => name.endsWith('layers.0.self_attn.v_proj.lora_A.weight'))! // the first adapter's alone
  const kept = model.language.trainables.get(key)
  model.setAdapter('default')
  const of = model.language.trainables.get(key)
  const sizes = of.map(Math.abs).sort()
  expect(kept.filter((x) => x !== 0).length).toBe(of.length / 4)
  for (const [i, x] of of.entries()) if (Math.abs(x) > sizes[sizes.length * 0.75]!) expect(kept[i]).toBeCloseTo(Math.SQRT2 * x, 6) // alpha 8 of r 4
  model.setAdapter('none')
  expect(model.language.trainables.get(key).every((x) => x === 0)).toBe(true)
})

it.each(['ties', 'magnitude_prune'] as const)("%s keeps a share of a module's own rank, whatever room another module's needs", (how) => {
  const wave = (n: number, step: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(1 + i * step))
  const parts = [0.7, 1.9].map((step) => ({ a: wave(2 * 6, step), b: wave(5 * 2, step), rank: 2, scaled: step }))
  const by = { how, density: 0.5, majoritySign: 'total' } as const
  const [own, within] = [combine(parts, [5, 2, 6], by), combine(parts, [5, 4, 6], by)] // rows, room, columns
  expect([...within.a]).toEqual([...own.a, ...new Array(2 * 6).fill(0)])
  expect([...within.b]).toEqual(Array.from({ length: 5 }, (_, row) => [...own.b.subarray(2 * row, 2 * row + 2), 0, 0]).flat())
})

it('linear adds A and B by the roots of their weights', async () => {
  await model.addWeightedAdapter(['default', 'b'], [0.5, -1], 'line', { combinationType: 'linear' })
  const values = (name: string) => {
    model.setAdapter(name)
    const { trainables } = model.language
    return new Map(trainables.names.map((one) => [one, trainables.get(one)]))
  }
  const [a, b, line] = [values('default'), values('b'), values('line')]
  const key = [...line.keys()].find((name) => name.endsWith('layers.0.self_attn.q_proj.lora_A.weight'))!
  const [wa, wb] = [0.5 * 2, -1] // alpha 8 of r 4; alpha 2 over √4
  for (const [i, x] of line.get(key)!.entries())
    expect(x).toBeCloseTo(Math.sqrt(wa) * a.get(key)![i]! - Math.sqrt(-wb) * b.get(key)![i]!, 6)
  const other = key.replace('lora_A', 'lora_B')
  for (const [i, x] of line.get(other)!.entries())
    expect(x).toBeCloseTo(Math.sqrt(wa) * a.get(other)![i]! + Math.sqrt(-wb) * b.get(other)![i]!, 6)
})

it('on the command line: the same model, as one file', async () => {
  const saqr = commandLine({ export: exportModel })
  const args = [
    '--model_name_or_path',
    at('base'),
    '--use_cpu',
    '--no_bf16',
    '--dtype',
    'float32',
    '--overwrite',
    '--output_dir',
    at('cli'),
  ]
  const run = await saqr('export', ...args, '--merged', '--adapters', `${at('a')}=0.7`, `${at('b')}=-0.3`, `${at('c')}=1.5`)
  expect(run).toMatchObject({ code: 0, out: expect.stringMatching(/opened again, it is \S+ nats from the trained model/) })
  const values = (name: string) => [...openCheckpoint(at(name)).tensors.values()].map((t) => [t.name, asF32(t.load('f32'))])
  expect(values('cli')).toEqual(values('merged-mix'))
  const refused = async (...more: string[]) => (await saqr('export', ...args, '--merged', ...more)).err
  expect(await refused('--adapters', at('a'))).toContain('give each as FOLDER=WEIGHT')
  expect(await refused('--adapters', `${at('nowhere')}=1`)).toContain('it has no adapter_config.json')
  const two = ['--adapters', `${at('a')}=1`, `${at('b')}=1`]
  expect(await refused(...two, '--combination_type', 'dare_ties')).toContain('it draws at random what is kept')
  expect(await refused(...two, '--combination_type', 'ties')).toContain('say which with --density, such as 0.5')
  expect(await refused(...two, '--density', '0.5')).toContain(
    '--density has no effect unless --combination_type is ties or magnitude_prune',
  )
  expect(await refused(...two, '--combination_type', 'svd', '--svd_rank', '0')).toContain('--svd_rank')
  expect(await refused('--combination_type', 'linear')).toContain('--combination_type has no effect without --adapters')
  const twice = ['--model_name_or_path', at('a'), '--use_cpu', '--merged', '--output_dir', at('x'), '--adapters', `${at('b')}=1`]
  expect((await saqr('export', ...twice)).err).toContain('is an adapter itself: name the base')
})

it('as an adapter of its own it names the base that was named, whatever those given call it', async () => {
  const saqr = commandLine({ export: exportModel })
  cpSync(at('base'), at('other base'), { recursive: true })
  const given = ['--adapters', `${at('a')}=0.7`, `${at('b')}=0.3`]
  const args = ['--model_name_or_path', at('other base'), '--use_cpu', ...given, '--peft', '--output_dir', at('peft')]
  expect(await saqr('export', ...args)).toMatchObject({ code: 0 })
  expect(readAdapterConfig(at('a')).baseModelNameOrPath).toBe(at('base'))
  expect(readAdapterConfig(at('peft'))).toMatchObject({ baseModelNameOrPath: at('other base'), revision: null })
})

it('is refused by name where it can’t be', async () => {
  const add = (names: string[], weights: number[], name: string, options?: object) =>
    model.addWeightedAdapter(names, weights, name, options)
  await expect(add(['default', 'c'], [1, 1], 'x', { combinationType: 'linear' })).rejects.toThrow(
    'linear is for adapters of one rank, and these have 4, 2',
  )
  await expect(add(['default', 'saved'], [1, 1], 'x')).rejects.toThrow("the adapter saved can't be combined by weights: it trains")
  await expect(add(['default', 'few'], [1, 1], 'x')).rejects.toThrow('its target_modules are an expression (.*[02].*q_proj)')
  await expect(add(['default'], [1, 2], 'x')).rejects.toThrow('adapters names 1, and there are 2 weights')
  await expect(add(['default', 'd'], [1, 2], 'x')).rejects.toThrow('there is no adapter "d"')
  await expect(add(['default'], [1], 'b')).rejects.toThrow('an adapter is named "b" already')
  await expect(add(['default'], [Number.NaN], 'x')).rejects.toThrow('a list of numbers')
  await expect(add(['default', 'b'], [1, 1], 'x', { combinationType: 'svdd' })).rejects.toThrow('cat, svd, linear, ties or magnitude_prune')
  await expect(add(['default', 'b'], [1, 1], 'x', { combinationType: 'ties_svd' })).rejects.toThrow('it prunes whole matrices')
  await expect(add(['default', 'b'], [1, 1], 'x', { combinationType: 'magnitude_prune' })).rejects.toThrow('say which with density')
  await expect(add(['default', 'b'], [1, 1], 'x', { svdRank: 4 })).rejects.toThrow('svdRank has no effect unless combinationType is svd')
  await expect(add(['default', 'b'], [1, 1], 'x', { combinationType: 'ties', density: 1.5 })).rejects.toThrow('a number from 0 to 1')
  expect(model.adapterNames).not.toContain('x')
})

it('so are adapters of experts, which PEFT refuses too (test/live/weighted.live.ts)', async () => {
  const given = join(import.meta.dirname, '../fixtures/training/mixtral/model')
  const { model } = await FastLanguageModel.fromPretrained(given, OPTIONS)
  try {
    const peft = FastLanguageModel.getPeftModel(model, { r: 2, targetModules: ['q_proj', 'w1', 'w2', 'w3'] })
    await expect(peft.addWeightedAdapter(['default'], [1], 'x')).rejects.toThrow(
      /the adapter default can't be combined by weights: it has target_parameters down_proj, gate_up_proj, of which PEFT doesn't combine any either/,
    )
  } finally {
    await model.dispose()
  }
})
