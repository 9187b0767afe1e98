/** A merged checkpoint is what was trained, or an error: asked before it takes its place. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { exportModel } from '../../src/cli/verbs/export.ts'
import * as changed from '../../src/export/changed.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { asTrained } from '../engine/as-trained.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-merged-'))
const at = (name: string) => join(folder, name)
const saqr = commandLine({ export: exportModel })
const open = (name: string, loadIn4bit = false) =>
  FastLanguageModel.fromPretrained(at(name), { device: 'cpu', dtype: 'float32', loadIn4bit })

beforeAll(async () => {
  await writeTinyModel(at('base'))
  const { model } = await open('base')
  await asTrained(model, { r: 4, loraAlpha: 8 }).savePretrained(at('adapter'))
  await model.dispose()
})
afterAll(() => rmSync(folder, { recursive: true }))

const values = (name: string) => [...openCheckpoint(at(name)).tensors.values()].map((t) => [t.name, asF32(t.load('f32'))] as const)

it('is asked beside the trained model and its base', async () => {
  const { model } = await open('adapter')
  const saved = await model.savePretrainedMerged(at('merged'), { checkTexts: ['the falcon dives', 'and the mouse'] })
  expect(saved).toMatchObject({ path: at('merged'), dtype: 'f32', compared: { bound: 1e-5, same: 1, positions: 8 } })
  expect(saved!.compared!.kl).toBeLessThan(1e-9) // sums in another order
  expect(saved!.compared!.base!.kl).toBeGreaterThan(1e-3)
  expect(saved!.compared!.base!.share).toBeCloseTo(1, 3)
  expect(readdirSync(at('merged')).sort()).toEqual(['README.md', ...readdirSync(at('base'))].sort())
  expect(await model.savePretrainedMerged(at('lora'), { saveMethod: 'lora' })).toBe(null)
  await model.dispose()
})

it('over NF4 it is that base, dequantised, as it was trained', async () => {
  const { model } = await open('adapter', true)
  const saved = await model.savePretrainedMerged(at('nf4'))
  expect(saved!.compared!.kl).toBeLessThan(1e-9)
  expect(saved!.notes.join()).toContain('NF4 are written dequantised')
  await model.dispose()
})

it('one that lacks the adapter is an error and named so; what lay there before stays', async () => {
  const { model } = await open('adapter')
  await model.savePretrainedMerged(at('kept'), { check: false })
  const before = values('kept')
  const unchanged = vi.spyOn(changed, 'changesOf').mockReturnValue({ changed: () => null, head: null })
  try {
    await expect(model.savePretrainedMerged(at('kept'))).rejects.toMatchObject({
      code: 'EXPORT_MISMATCH',
      message: expect.stringMatching(/kept\/mismatch is not the model that was trained: .* nats apart .* has gone 0\.00/),
    })
  } finally {
    unchanged.mockRestore()
  }
  expect(values('kept')).toEqual(before)
  expect(existsSync(at('kept/.unchecked'))).toBe(false)
  expect(existsSync(at('kept/mismatch/model.safetensors'))).toBe(true)
  await model.dispose()
})

it('in files of a size, each named in the index; the next save leaves none of them over', async () => {
  const { model } = await open('adapter')
  await model.savePretrainedMerged(at('whole'), { check: false })
  const saved = await model.savePretrainedMerged(at('parts'), { maxShardSize: '20KB' })
  const parts = readdirSync(at('parts')).filter((name) => name.endsWith('.safetensors'))
  expect(parts.length).toBeGreaterThan(2)
  const { metadata, weight_map: map } = JSON.parse(readFileSync(at('parts/model.safetensors.index.json'), 'utf8'))
  expect(metadata.total_size).toBe(saved!.bytes)
  expect(new Set(Object.values(map))).toEqual(new Set(parts))
  expect(values('parts')).toEqual(values('whole'))
  await model.savePretrainedMerged(at('parts'), { maxShardSize: '40KB' })
  const fewer = readdirSync(at('parts')).filter((name) => name.endsWith('.safetensors'))
  expect(fewer.length).toBeLessThan(parts.length)
  expect(values('parts')).toEqual(values('whole'))
  await model.savePretrainedMerged(at('parts'))
  expect(readdirSync(at('parts')).filter((name) => /model.*safetensors/.test(name))).toEqual(['model.safetensors'])
  await expect(model.savePretrainedMerged(at('x'), { maxShardSize: 'much' })).rejects.toThrow('maxShardSize: expected a size such as 5GB')
  await model.dispose()
})

it('an abort leaves what was there', async () => {
  const { model } = await open('adapter')
  const stop = new AbortController()
  const saving = model.savePretrainedMerged(at('stopped'), { signal: stop.signal })
  setImmediate(() => stop.abort(new Error('enough')))
  await expect(saving).rejects.toThrow('enough')
  expect(readdirSync(at('stopped'))).toEqual([])
  await model.dispose()
})

it('on the command line', async () => {
  const base = ['--model_name_or_path', at('adapter'), '--use_cpu', '--no_bf16', '--dtype', 'float32']
  const run = await saqr('export', ...base, '--merged', '--output_dir', at('cli'), '--max_shard_size', '20KB')
  expect(run.out).toMatch(/cli: 0\.\d MB in f32; opened again, it is \S+ nats from the trained model \(0\.00001 allowed\)/)
  expect(existsSync(at('cli/model.safetensors.index.json'))).toBe(true)
  expect((await saqr('export', ...base, '--merged', '--no_check', '--output_dir', at('cli2'))).out).toContain('not asked beside')
  expect((await saqr('export', ...base, '--merged', '--output_dir', at('cli3'), '--max_shard_size', 'x')).err).toContain('--max_shard_size')
  expect((await saqr('export', ...base, '--peft', '--output_dir', at('cli4'), '--max_shard_size', '1GB')).err).toContain(
    '--max_shard_size has no effect without --merged',
  )
})
