/** Every family's exports: in llama.cpp a model, an adapter merged into it and the adapter alone, and in transformers and PEFT folders, answer as the originals do there. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { FastLanguageModel } from '../../src/index.ts'
import { libraries, oracle, oracleInto } from './oracle.ts'

vi.spyOn(console, 'log').mockImplementation(() => {})
afterAll(() => vi.restoreAllMocks())

const OPEN = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const
/** an adapter lies on the linears that llama.cpp computes with one */
const NO_ADAPTER = /^deepseek/
/** A router's near tie falls one way or the other by the keys' rounding; elsewhere every position counts. */
const ROUTED = /^(mixtral|qwen3_moe|gpt_oss|deepseek)/

interface Answers {
  moved: number
  base: Told
  merged: Told
  adapter?: Told
  /** the merged folder in transformers, the adapter in PEFT */
  folder: Told
  peft: Told
}
interface Told {
  /** share of positions with a probability more than 1e-3 from transformers' */
  apart: number
  most: number
}

it('the next tokens’ probabilities are those of transformers and PEFT', async () => {
  const folder = await oracle('llama_families', 'make')
  const names = JSON.parse(readFileSync(join(folder, 'names.json'), 'utf8')) as string[]
  const files: Record<string, { base: string; merged: string; adapter: string | null; folder: string; peft: string }> = {}
  const written = async (name: string, of: string, options: object) => {
    const { model } = await FastLanguageModel.fromPretrained(join(folder, name), OPEN)
    const [saved] = await model.savePretrainedGguf(join(folder, `${of}.gguf`), options)
    await model.dispose()
    return saved!.path
  }
  const saved = async (name: string) => {
    const { model } = await FastLanguageModel.fromPretrained(join(folder, `${name}-lora`), OPEN)
    const [merged, peft] = [join(folder, `${name}-merged`), join(folder, `${name}-peft`)]
    await model.savePretrainedMerged(merged)
    await model.savePretrained(peft)
    await model.dispose()
    return { folder: merged, peft }
  }
  for (const name of names)
    files[name] = {
      base: await written(name, `${name}-base`, { quantizationMethod: 'f32' }),
      merged: await written(`${name}-lora`, `${name}-merged`, { quantizationMethod: 'f32' }),
      adapter: NO_ADAPTER.test(name)
        ? null
        : await written(`${name}-lora`, `${name}-adapter`, { quantizationMethod: 'f32', adapterOnly: true }),
      ...(await saved(name)),
    }
  writeFileSync(join(folder, 'files.json'), JSON.stringify(files))
  await oracleInto(folder, 'llama_families', 'ask', libraries)
  const answers = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8')) as Record<string, Answers>
  const [kinds, most] = [['base', 'merged', 'adapter', 'folder', 'peft'] as const, (one?: Told) => one?.most.toExponential(1) ?? 'none']
  for (const [name, all] of Object.entries(answers))
    console.info(name, ...kinds.map((kind) => most(all[kind])), `moved ${all.moved.toExponential(1)}`)
  expect(Object.keys(answers)).toEqual(names)
  for (const [name, { moved, ...all }] of Object.entries(answers)) {
    expect([name, moved]).toEqual([name, expect.toSatisfy((x: number) => x > 5e-3)])
    // f32 in another order of sums
    for (const kind of ['folder', 'peft'] as const) expect([name, kind, all[kind].most < 1e-6]).toEqual([name, kind, true])
    for (const [kind, { apart }] of Object.entries(all))
      expect([name, kind, apart]).toEqual([name, kind, expect.toSatisfy((x: number) => x <= (ROUTED.test(name) ? 0.05 : 0))])
  }
}, 600_000)
