/** What is told of names that mean experts elsewhere, and of a router's buffer that is damaged. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { FastLanguageModel } from '../../src/index.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { temporary } from '../formats/fixtures.ts'

const fixtures = join(import.meta.dirname, '../fixtures/training')
const options = { device: 'cpu', dtype: 'float32', loadIn4bit: false } as const

it.each([
  // the module, the tensor, and the linears of one expert as other tools' 4-bit files of gpt-oss have them
  ['mixtral', ['experts'], 'experts.gate_up_proj, experts.down_proj'],
  ['mixtral', ['mlp.experts.gate_up_proj'], 'experts.gate_up_proj, experts.down_proj'],
  ['gpt-oss', ['gate_up_projs.0', 'down_projs.0'], 'experts.gate_up_proj'],
  ['gpt-oss', ['q_proj', 'down_projs.31'], 'experts.gate_up_proj, experts.down_proj'],
])('%s: targets %j name no module, and the tensors are told', async (name, targetModules, tensors) => {
  const { model } = await FastLanguageModel.fromPretrained(join(fixtures, name, 'model'), options)
  try {
    expect(() => FastLanguageModel.getPeftModel(model, { r: 4, targetModules })).toThrow(
      `all experts of a layer lie in tensors, which targetParameters names: ${tensors}`,
    )
  } finally {
    await model.dispose()
  }
})

it.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a correction bias of %d is refused: it only chooses, so nothing computed would show it',
  async (bad) => {
    const given = join(fixtures, 'deepseek-v3/model')
    const at = join(temporary(), 'model')
    cpSync(given, at, { recursive: true })
    const tensors = [...openCheckpoint(given).tensors.values()].map((t) => {
      const values = new Float32Array(t.load('f32').slice().buffer)
      if (t.name.endsWith('e_score_correction_bias')) values[1] = bad
      return { name: t.name, dtype: 'F32', shape: t.shape, data: new Uint8Array(values.buffer) }
    })
    await writeSafetensors(join(at, 'model.safetensors'), tensors)
    await expect(FastLanguageModel.fromPretrained(at, options)).rejects.toMatchObject({
      code: 'MODEL_WEIGHT',
      message: expect.stringMatching(/e_score_correction_bias' has a value that is no finite number \(element 1\)/),
    })
  },
)

it('gpt-oss with experts in a form that is not known is refused, naming what the file has', async () => {
  const given = join(fixtures, 'gpt-oss/model')
  const at = join(temporary(), 'model')
  cpSync(given, at, { recursive: true })
  const tensors = [...openCheckpoint(given).tensors.values()].map((t) => {
    const name = t.name.replace(/experts\.gate_up_proj$/, 'experts.gate_up_proj.0.linear')
    return { name, dtype: 'F32', shape: t.shape, data: t.load('f32') }
  })
  await writeSafetensors(join(at, 'model.safetensors'), tensors)
  await expect(FastLanguageModel.fromPretrained(at, options)).rejects.toMatchObject({
    code: 'MODEL_WEIGHT',
    message: expect.stringMatching(
      /no tensor 'model\.layers\.0\.mlp\.experts\.gate_up_proj', which its config\.json calls for, but '.*gate_up_proj\.0\.linear': gpt_oss files/,
    ),
  })
})

/** a fixture whose tensors are changed: in what it has of one, by name (null: it goes) */
async function damaged(name: string, change: (given: { name: string; shape: readonly number[] }) => number[] | null): Promise<string> {
  const at = join(temporary(), 'model')
  cpSync(join(fixtures, name, 'model'), at, { recursive: true })
  const { tensors } = readSafetensors(join(at, 'model.safetensors'))
  const list = [...tensors].flatMap(([name, { shape }]) => {
    const wanted = change({ name, shape })
    return wanted ? [{ name, dtype: 'F32', shape: wanted, data: new Uint8Array(4 * wanted.reduce((a, b) => a * b, 1)) }] : []
  })
  await writeSafetensors(join(at, 'model.safetensors'), list)
  return at
}

it.each([
  [
    'an expert that a shard lacks',
    'full-qwen3-moe',
    /layers\.2\.mlp\.experts\.1\.up_proj/,
    () => null,
    /lacks model\.layers\.2\.mlp\.experts\.1\.up_proj\.weight of the \d+ tensors that are model\.layers\.2\.mlp\.experts\.gate_up_proj: a shard may be missing/,
  ],
  [
    'a router of too few experts',
    'full-qwen3-moe',
    /layers\.0\.mlp\.gate\.weight/,
    ([rows, cols]: readonly number[]) => [rows! - 1, cols!],
    /'model\.layers\.0\.mlp\.gate\.weight' is \d+ × \d+.*\d+ × \d+/,
  ],
  [
    'a router of other channels',
    'gpt-oss',
    /layers\.0\.mlp\.router\.weight/,
    ([rows, cols]: readonly number[]) => [rows!, cols! + 1],
    /'model\.layers\.0\.mlp\.router\.weight' is \d+ × \d+.*\d+ × \d+/,
  ],
  [
    'experts of another width',
    'gpt-oss',
    /layers\.0\.mlp\.experts\.down_proj$/,
    ([experts, rows, cols]: readonly number[]) => [experts!, rows!, cols! + 1],
    /'model\.layers\.0\.mlp\.experts\.down_proj' is/,
  ],
] as const)('%s is refused by name', async (_, name, which, make, message) => {
  const at = await damaged(name, (t) => (which.test(t.name) ? make(t.shape) : [...t.shape]))
  await expect(FastLanguageModel.fromPretrained(at, options)).rejects.toMatchObject({
    code: 'MODEL_WEIGHT',
    message: expect.stringMatching(message),
  })
})
