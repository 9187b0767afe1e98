/**
 * 4-bit files of gpt-oss (Unsloth's), whose experts are linears of their own: codes and values as bitsandbytes has them, and all that is saved in the form that
 * transformers reads. Loss and gradients of that file beside transformers' and PEFT's: test/parity.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { loadAdapter } from '../../src/engine/load-adapter.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { saveMerged } from '../../src/export/merged.ts'
import { readRange } from '../../src/formats/files.ts'
import { joinAcross } from '../../src/formats/joined.ts'
import { joinNf4 } from '../../src/formats/nf4-joined.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { distance, logProbabilities } from '../parity/family-case.ts'

const folder = join(import.meta.dirname, '../fixtures/families/gpt-oss-apart')
const given = join(folder, 'model')
const work = mkdtempSync(join(tmpdir(), 'saqr-apart-'))
const at = (name: string) => join(work, name)
const DOWN = 'model.layers.1.mlp.experts.down_proj'
let device: CpuDevice

beforeAll(() => {
  device = new CpuDevice({ threads: 2 })
})
afterAll(() => {
  device.dispose()
  rmSync(work, { recursive: true })
})

const opened = (path = given, loadIn4bit = true) =>
  new OpenedModel(device, openCheckpoint(path), { dtype: 'f32', loadIn4bit, doubleQuant: true })

async function logProbs(path: string, loadIn4bit: boolean): Promise<Float32Array> {
  const model = new LanguageModel(opened(path, loadIn4bit), { kind: 'none' }, 0)
  const said = await logProbabilities(device, model, folder)
  model.opened.dispose()
  return said
}

/** the same model, no longer quantised */
async function dense(): Promise<string> {
  const to = at('dense')
  cpSync(given, to, { recursive: true })
  const list = [...openCheckpoint(given).tensors.values()].map((t) => ({ name: t.name, dtype: 'F32', shape: t.shape, data: t.load('f32') }))
  await writeSafetensors(join(to, 'model.safetensors'), list)
  return to
}

it('has the codes of the file, and their values where each stands in the model: W[e, i, o] is o, i of expert e', () => {
  const base = opened()
  const stack = base.checkpoint.tensors.get(DOWN)!
  const files = openCheckpoint(given).tensors
  const own = [0, 1, 2, 3].map((e) => files.get(`${DOWN}s.${e}.weight`)!)
  const codes = own.map(({ source, rows, cols }) => readRange(source!.path, source!.offset, (rows * cols) / 2))
  expect(Buffer.from(joinNf4(stack.across!.parts!).packed).equals(Buffer.concat(codes))).toBe(true)
  expect(stack.shape).toEqual([4, 64, 64])
  const values = asF32(stack.load('f32'))
  for (const [e, one] of own.entries()) {
    const w = asF32(one.load('f32'))
    for (let i = 0; i < 64; i++) for (let o = 0; o < 64; o++) expect(values[(e * 64 + i) * 64 + o]).toBe(w[o * 64 + i])
  }
  base.dispose()
})

it('says the same with those codes, with their values, and without a quantised file', async () => {
  const [codes, values, plain] = [await logProbs(given, true), await logProbs(given, false), await logProbs(await dense(), false)]
  expect(distance(codes, values)).toBeLessThan(1e-6) // f32 sums in another order
  expect(plain).toEqual(values)
})

it('an adapter over the codes is saved as PEFT has it; merged, it is a model of transformers’ form that says the same', async () => {
  const model = loadAdapter(opened(), join(folder, 'adapter'))
  const before = await logProbabilities(device, model, folder)
  await saveTrained(model, at('again'))
  const saved = (path: string) => readSafetensors(join(path, 'adapter_model.safetensors'))
  expect([...saved(at('again')).tensors.keys()].toSorted()).toEqual([...saved(join(folder, 'adapter')).tensors.keys()].toSorted())
  for (const [name, { shape, offset, bytes }] of saved(at('again')).tensors) {
    const other = saved(join(folder, 'adapter')).tensors.get(name)!
    expect([name, shape]).toEqual([name, other.shape])
    const [ours, theirs] = [at('again'), join(folder, 'adapter')].map((path, i) =>
      readRange(join(path, 'adapter_model.safetensors'), i === 0 ? offset : other.offset, bytes),
    )
    expect(Buffer.from(ours!).equals(theirs!), name).toBe(true)
  }
  await saveMerged(model, at('merged'))
  model.opened.dispose()
  expect(readSafetensors(join(at('merged'), 'model.safetensors')).tensors.get(DOWN)?.shape).toEqual([4, 64, 64])
  // W + s·B·A is rounded to f32 once, the sum of two products twice
  expect(distance(await logProbs(at('merged'), false), before)).toBeLessThan(1e-5)
})

it('an expert that a shard lacks is named', async () => {
  const to = at('lacking')
  cpSync(await dense(), to, { recursive: true })
  const list = [...openCheckpoint(to).tensors.values()]
    .filter(({ name }) => name !== `${DOWN}s.2.weight`)
    .map((t) => ({ name: t.name, dtype: 'F32', shape: t.shape, data: t.load('f32') }))
  await writeSafetensors(join(to, 'model.safetensors'), list)
  expect(() => opened(to)).toThrow(
    /lacks model\.layers\.1\.mlp\.experts\.down_projs\.2\.weight of the 4 tensors that are .*down_proj: a shard may be missing/,
  )
})

it('experts of which some are quantised and some are not are refused by name', () => {
  const files = openCheckpoint(given).tensors
  const [first, second] = [0, 1].map((e) => files.get(`${DOWN}s.${e}.weight`)!)
  expect(() => joinAcross(DOWN, [first!, { ...second!, quant: undefined }])).toThrow(
    /has experts in 4 bits and others that are not \(.*down_projs\.1\.weight\)/,
  )
})
