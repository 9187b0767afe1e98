/** Adapters combined by weights: the tensors that PEFT's add_weighted_adapter makes of the same adapters. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FastLanguageModel } from '../../src/index.ts'
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

it.each([
  ['cat', [0, 1, 2], [0.7, -0.3, 1.5]],
  ['linear', [0, 1], [0.6, -0.8]],
  ['cat', [0], [0.5]],
] as const)(
  '%s of %j by %j',
  async (combinationType, chosen, weights) => {
    const out = at(`peft-${combinationType}-${chosen.join('')}`)
    const own = at(`saqr-${combinationType}-${chosen.join('')}`)
    const given = chosen.map((n, i) => `${at(`a${n}`)}=${weights[i]}`)
    const run = spawnSync(
      join(root, '.venv/bin/python'),
      [join(root, 'tools/oracle/weighted.py'), at('base'), out, combinationType, ...given],
      {
        encoding: 'utf8',
      },
    )
    expect(run.status, run.stderr.slice(-2000)).toBe(0)
    const { model } = await FastLanguageModel.fromPretrained(at(`a${chosen[0]}`), OPTIONS)
    for (const n of chosen.slice(1)) await model.loadAdapter(at(`a${n}`), `a${n}`)
    await model.addWeightedAdapter(['default', ...chosen.slice(1).map((n) => `a${n}`)], weights, 'mix', { combinationType })
    await model.savePretrained(own, { selectedAdapters: ['mix'] })
    await model.dispose()
    const [ours, theirs] = [own, out].map((path) => readTensors(join(path, 'mix/adapter_model.safetensors'))) as [Tensors, Tensors]
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
