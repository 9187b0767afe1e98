/** Adapters over experts in the forms that older versions saved: the same tensors as from the form of today, written in that. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { chooseAdapter } from '../../src/adapters/choose.ts'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { checkLoadable, settledSpec } from '../../src/engine/adapter-modules.ts'
import { placesOf } from '../../src/engine/adapter-tensors.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { bytesOf } from '../../src/formats/numbers.ts'
import { readAdapter } from '../../src/formats/peft/read.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { inspect } from '../../src/graph/training.ts'
import { openCheckpoint, readConfig } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { readTensors } from '../parity/family-case.ts'

const fixture = join(import.meta.dirname, '../fixtures/families/mixtral-experts')
const work = mkdtempSync(join(tmpdir(), 'saqr-experts-'))
afterAll(() => rmSync(work, { recursive: true }))

const [E, R, C, F] = [4, 3, 32, 48] // experts, rank, channels, hidden of the fixture
interface Matrix {
  rows: number
  cols: number
  at(i: number, j: number): number
}
type Tensors = Map<string, Matrix>

async function write(tensors: Tensors, config: Record<string, unknown>): Promise<string> {
  const folder = mkdtempSync(join(work, 'adapter-'))
  cpSync(join(fixture, 'adapter'), folder, { recursive: true })
  const list = [...tensors].map(([name, { rows, cols, at }]) => ({
    name,
    dtype: 'F32',
    shape: [rows, cols],
    data: bytesOf(Float32Array.from({ length: rows * cols }, (_, k) => at(Math.floor(k / cols), k % cols))),
  }))
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), list, { format: 'pt' })
  const given = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...given, ...config }))
  return folder
}

/** by expert: of today's form, gate and up apart (B is their diagonal) */
function tensorsOfToday(): Tensors {
  const path = join(fixture, 'adapter/adapter_model.safetensors')
  const values = readTensors(path)
  return new Map(
    [...readSafetensors(path).tensors].map(([name, { shape }]) => {
      const [rows, cols] = shape as [number, number]
      const diagonal = name.endsWith('base_layer.lora_B.weight')
      // column j · E + e; the first R of the 2R ranks are gate's
      const zero = (i: number, k: number) => diagonal && i < F !== Math.floor(k / E) < R
      return [name, { rows, cols, at: (i: number, j: number) => (zero(i, j) ? 0 : values.get(name)![i * cols + j]!) }]
    }),
  )
}

/** each expert's linears by themselves, as transformers 4 had them */
function apart(today: Tensors): Tensors {
  const old: Tensors = new Map()
  for (const [name, t] of today) {
    const found = /^(.*)\.mlp\.experts\.(base_layer\.)?lora_([AB])\.weight$/.exec(name)
    if (!found) {
      old.set(name, t)
      continue
    }
    const [, block, inner, side] = found
    const linears = inner ? ['w1', 'w3'] : ['w2']
    const n = linears.length
    for (const [p, linear] of linears.entries())
      for (let e = 0; e < E; e++) {
        const key = `${block}.block_sparse_moe.experts.${e}.${linear}.lora_${side}.weight`
        if (side === 'A') old.set(key, { rows: R, cols: t.cols, at: (i, j) => t.at((e * n + p) * R + i, j) })
        else old.set(key, { rows: t.rows / n, cols: R, at: (i, j) => t.at((p * t.rows) / n + i, (p * R + j) * E + e) })
      }
  }
  return old
}

/** in and out the other way round, as PEFT 0.18 had them: A_e = B_eᵀ, B_e = A_eᵀ */
function swapped(today: Tensors): Tensors {
  const old: Tensors = new Map(today)
  for (const [name, a] of today) {
    if (!/experts\.(base_layer\.)?lora_A\.weight$/.test(name)) continue
    const nameB = name.replace('lora_A', 'lora_B')
    const b = today.get(nameB)!
    const r = a.rows / E
    old.set(name, { rows: a.rows, cols: b.rows, at: (k, i) => b.at(i, (k % r) * E + Math.floor(k / r)) })
    old.set(nameB, { rows: a.cols, cols: b.cols, at: (j, k) => a.at((k % E) * r + Math.floor(k / E), j) })
  }
  return old
}

async function loaded(folder: string): Promise<{ tensors: Map<string, Float32Array>; config: string }> {
  const device = new CpuDevice({ threads: 1 })
  try {
    const choice = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const
    const model = loadAdapter(new OpenedModel(device, openCheckpoint(join(fixture, 'model')), choice), folder)
    const out = mkdtempSync(join(work, 'saved-'))
    await saveTrained(model, out)
    return { tensors: readTensors(join(out, 'adapter_model.safetensors')), config: readFileSync(join(out, 'adapter_config.json'), 'utf8') }
  } finally {
    device.dispose()
  }
}

/** before PEFT turned the targets over */
const OLD = { target_modules: ['q_proj', 'w1', 'w2', 'w3'], target_parameters: null, rank_pattern: {}, alpha_pattern: {} }

it('each expert by itself, and in and out swapped', async () => {
  const today = tensorsOfToday()
  const expected = await loaded(await write(today, {}))
  expect([...expected.tensors.keys()].sort()).toEqual([...today.keys()].sort())
  expect(await loaded(await write(apart(today), OLD))).toEqual(expected)
  expect(await loaded(await write(swapped(today), {}))).toEqual(expected)
  expect(C).not.toBe(F)
})

it('one that lacks an expert is refused by name', async () => {
  const old = apart(tensorsOfToday())
  old.delete('base_model.model.model.layers.1.block_sparse_moe.experts.2.w3.lora_B.weight')
  old.delete('base_model.model.model.layers.1.block_sparse_moe.experts.2.w3.lora_A.weight')
  await expect(loaded(await write(old, OLD))).rejects.toThrow(
    /has no model.layers.1.mlp.experts.base_layer.lora_A.weight, which its adapter_config.json calls for on this base: it has parts of single experts/,
  )
})

it('one that does not fit is refused before weights of its base are read, and one that fits is not', async () => {
  const over = (model: string) => ({ model: openConfig(readConfig(model)), base: 'the base', file: true })
  const today = tensorsOfToday()
  const few = apart(today)
  few.delete('base_model.model.model.layers.1.block_sparse_moe.experts.2.w3.lora_B.weight')
  few.delete('base_model.model.model.layers.1.block_sparse_moe.experts.2.w3.lora_A.weight')
  const check = async (tensors: Tensors, config: object) => checkLoadable(await write(tensors, { ...config }), over(join(fixture, 'model')))
  await check(today, {})
  await check(apart(today), OLD)
  await check(swapped(today), {})
  await expect(check(few, OLD)).rejects.toMatchObject({
    code: 'FORMAT_ADAPTER',
    message: expect.stringContaining('parts of single experts'),
  })
  const name = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
  const wider = new Map([...today, [name, { ...today.get(name)!, cols: C + 1 }]])
  await expect(check(wider, {})).rejects.toMatchObject({
    message: expect.stringContaining('where the base (mixtral, 2 layers, 32 channels) takes 3 × 32'),
  })

  const families = join(fixture, '..')
  for (const family of readdirSync(families)) {
    const adapter = join(families, family, 'adapter')
    // PEFT computes it, saqr refuses it by name
    if (existsSync(adapter) && family !== 'lora-lora-bias') checkLoadable(adapter, over(join(families, family, 'model')))
  }
})

it('where in and out of one of the two are alike, the other tells that both are swapped', async () => {
  const model = openConfig({ ...readConfig(join(fixture, 'model')), intermediate_size: C })
  const today: Tensors = new Map()
  for (let layer = 0; layer < 2; layer++)
    for (const [path, out, r] of [
      ['experts.base_layer', 2 * C, 2 * R],
      ['experts', C, R],
    ] as const) {
      const name = `base_model.model.model.layers.${layer}.mlp.${path}`
      today.set(`${name}.lora_A.weight`, { rows: E * r, cols: C, at: (i, j) => Math.sin(i * C + j + layer) })
      today.set(`${name}.lora_B.weight`, { rows: out, cols: r * E, at: (i, j) => Math.cos(i * r * E + j + layer) })
    }
  const config = { target_modules: [], rank_pattern: { '.*gate_up_proj': 2 * R } }
  const read = async (tensors: Tensors) => {
    const adapter = readAdapter(await write(tensors, config))
    const spec = settledSpec({ kind: 'lora', config: adapter.config }, model)
    const chosen = chooseAdapter(spec, { nf4: false, head: model.head.path, tiedTo: model.head.tiedTo }, false)
    const trained = inspect(model, chosen, 'f32').parameters
    const { values } = placesOf(adapter, 'the adapter', { model, path: 'the base', config: chosen.config!, trained })
    return new Map([...values].map(([name, of]) => [name, of()]))
  }
  const expected = await read(today)
  expect(expected.size).toBe(8)
  expect(await read(swapped(today))).toEqual(expected)
})
