/** A GGUF file that is only asked: its linears and its embedding stay in the file's blocks, and it answers as it does with weights made f32, or, on processors that multiply bf16, made what is computed in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { openBase } from '../../src/engine/open-base.ts'
import { DecodeLoop } from '../../src/generate/decode-loop.ts'
import { generateTokens } from '../../src/generate/generate.ts'
import { Sampler } from '../../src/generate/sample.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'saqr-in-blocks-'))
const file = join(folder, 'q8_0.gguf')
/** rows of whole super-blocks: Q4_K, and Q6_K in some layers and the head */
const mixed = join(folder, 'q4_k_m.gguf')
beforeAll(async () => {
  await writeTinyModel(join(folder, 'base'), { hidden: 64 })
  const { model } = await FastLanguageModel.fromPretrained(join(folder, 'base'), { device: 'cpu' })
  await model.savePretrainedGguf(file, { quantizationMethod: 'q8_0', check: false })
  await model.dispose()
  await writeTinyModel(join(folder, 'wide'), { channels: 256, hidden: 256 })
  const wide = await FastLanguageModel.fromPretrained(join(folder, 'wide'), { device: 'cpu' })
  await wide.model.savePretrainedGguf(mixed, { quantizationMethod: 'q4_k_m', check: false })
  await wide.model.dispose()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** 20 greedy tokens with their log probabilities, and what weights are held in */
async function answer(asked: boolean, dtype: 'f32' | 'bf16', threads: number, loadIn4bit = false, path = file) {
  const device = new CpuDevice({ threads })
  try {
    const { opened } = await openBase(path, device, { choice: () => ({ dtype, loadIn4bit, doubleQuant: false }), asked })
    const model = new LanguageModel(opened, { kind: 'none' }, 0)
    const prompt = [3, 9, 4, 11, 6, 5, 8, 7, 12, 10]
    const question = { prompt, sampler: new Sampler(prompt, {}), stop: new Set<number>(), maxNewTokens: 20 }
    const tokens: (readonly [number, number])[] = []
    for await (const { choice } of generateTokens(model, new DecodeLoop(model), [question]))
      if (choice) tokens.push([choice.id, choice.logprob])
    return {
      tokens,
      dtypes: new Map([...model.recorder.weights.values()].map((w) => [w.name, w.dtype])),
      kinds: device.describe().blocks!,
      reads: device.describe().blocks!.length > 0,
    }
  } finally {
    device.dispose()
  }
}

it('has the same answer, whatever is computed in and by however many threads', async () => {
  for (const dtype of ['bf16', 'f32'] as const) {
    const dense = await answer(false, dtype, 1)
    expect([...dense.dtypes.values()]).not.toContain('q8_0')
    let alone: typeof dense | undefined
    for (const threads of [1, 2]) {
      const kept = await answer(true, dtype, threads)
      expect(kept.tokens).toEqual((alone ??= kept).tokens)
      // few rows are multiplied with a block's own values, whatever a prompt is
      if (dtype === 'f32') expect(kept.tokens).toEqual(dense.tokens)
      // rows of each head go into another order: blocks are copied, not mapped
      const held = kept.reads ? 'q8_0' : dtype
      for (const name of ['self_attn.q_proj', 'self_attn.v_proj', 'mlp.down_proj'])
        expect(kept.dtypes.get(`model.layers.0.${name}.weight`)).toBe(held)
      expect(kept.dtypes.get('model.norm.weight')).toBe(dtype)
    }
  }
})

it('super-blocks of several types answer as their values do', async () => {
  const dense = await answer(false, 'f32', 1, false, mixed)
  let alone: typeof dense | undefined
  for (const threads of [1, 2]) {
    const kept = await answer(true, 'f32', threads, false, mixed)
    expect(kept.tokens).toEqual((alone ??= kept).tokens)
    const held = new Set(kept.dtypes.values())
    for (const kind of ['q4_k', 'q6_k'] as const) expect(held.has(kind)).toBe(kept.kinds.includes(kind))
    expect(kept.tokens).toEqual(dense.tokens)
  }
})

it('in 4 bits its linears are NF4 as ever', async () => {
  const { dtypes, tokens } = await answer(true, 'bf16', 1, true)
  expect(dtypes.get('model.layers.0.mlp.down_proj.weight')).toBe('nf4')
  expect(tokens).toEqual((await answer(false, 'bf16', 1, true)).tokens)
})
