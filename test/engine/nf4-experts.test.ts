/** Checkpoints whose experts are each quantised by itself (bitsandbytes, transformers 4): one weight of all of them, with the codes they have. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { storeBytes } from '../../src/engine/budget.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { nf4FileTensors, quantiseTensor } from '../../src/formats/bnb-write.ts'
import { readRange } from '../../src/formats/files.ts'
import { joinNf4, unlikeNf4 } from '../../src/formats/nf4-joined.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { layoutParameters } from '../../src/graph/layout.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { distance, logProbabilities } from '../parity/family-case.ts'

const root = join(import.meta.dirname, '../fixtures/families')
const work = mkdtempSync(join(tmpdir(), 'saqr-nf4-experts-'))
afterAll(() => rmSync(work, { recursive: true }))

/** a case's model with every linear of its blocks in NF4 */
async function quantised(name: string, nested: boolean): Promise<string> {
  const folder = mkdtempSync(join(work, 'model-'))
  cpSync(join(root, name, 'model'), folder, { recursive: true })
  const { tensors } = openCheckpoint(folder)
  const list = [...tensors.values()].flatMap((t) =>
    /\.experts\.|_proj\.weight$/.test(t.name)
      ? nf4FileTensors(quantiseTensor(t, { dtype: 'f32', nested }))
      : [{ name: t.name, dtype: 'F32', shape: t.shape, data: t.load('f32') }],
  )
  await writeSafetensors(join(folder, 'model.safetensors'), list, { format: 'pt' })
  return folder
}

it.each([true, false])('codes and values as in the file; scales quantised themselves there: %s', async (nested) => {
  const folder = await quantised('qwen3-moe', nested)
  const said = await Promise.all(
    [true, false].map(async (loadIn4bit) => {
      const device = new CpuDevice({ threads: 1 })
      try {
        // what is asked for of scales counts for what is quantised here
        const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'f32', loadIn4bit, doubleQuant: !nested })
        const model = new LanguageModel(opened, { kind: 'none' }, 0)
        const stack = opened.checkpoint.tensors.get('model.layers.1.mlp.experts.gate_up_proj')!
        const kinds = [...model.recorder.weights.values()].map(({ name, dtype }) => (name.includes('.experts.') ? dtype : null))
        expect(new Set(kinds)).toEqual(new Set([null, loadIn4bit ? 'nf4' : 'f32']))
        expect(opened.nested('model.layers.1.mlp.experts.gate_up_proj')).toBe(false)
        expect(opened.nested('model.layers.1.self_attn.q_proj.weight')).toBe(nested)
        const { packed } = joinNf4(stack.parts!)
        const inFile = stack.parts!.map(({ source, rows, cols }) => readRange(source!.path, source!.offset, (rows * cols) / 2))
        expect(Buffer.from(packed).equals(Buffer.concat(inFile))).toBe(true)
        return await logProbabilities(device, model, join(root, 'qwen3-moe'))
      } finally {
        device.dispose()
      }
    }),
  )
  // the same values, in f32 or decoded where they are used
  expect(distance(said[0]!, said[1]!)).toBeLessThan(1e-6)
})

it('what is planned for counts their scales in f32', async () => {
  const folder = await quantised('qwen3-moe', true)
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'f32', loadIn4bit: true, doubleQuant: true })
    const recorder = opened.inspect({ kind: 'none' })
    const layout = layoutParameters([], '')
    const stacks = [...recorder.weights.values()].filter(({ dtype, name }) => dtype === 'nf4' && name.includes('.experts.'))
    const blocks = stacks.map(({ rows, cols }) => (rows * cols) / 64)
    const more = storeBytes(recorder, layout, null, opened.nested) - storeBytes(recorder, layout, null, () => true)
    expect(more).toBe(blocks.reduce((sum, n) => sum + 4 * n - (n + 4 * Math.ceil(n / 256)), 0))
    expect(more).toBeGreaterThan(0)
  } finally {
    device.dispose()
  }
})

it('experts whose weights don’t fill their blocks are refused by name, and read as floats', async () => {
  const folder = await quantised('mixtral-window-odd', false)
  const open = (loadIn4bit: boolean) => {
    const device = new CpuDevice({ threads: 1 })
    try {
      const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'f32', loadIn4bit, doubleQuant: false })
      new LanguageModel(opened, { kind: 'none' }, 0)
    } finally {
      device.dispose()
    }
  }
  expect(() => open(true)).toThrow(/gate_up_proj: experts of 86 × 36 are not whole blocks of 64, which loadIn4bit quantises: leave it out/)
  open(false)
})

it('experts that are quantised in different ways, or not all, can’t be one', async () => {
  const { tensors } = openCheckpoint(await quantised('mixtral', false))
  const [one, other] = ['0', '1'].map((e) => tensors.get(`model.layers.0.block_sparse_moe.experts.${e}.w2.weight`)!)
  expect(unlikeNf4([one!, other!])).toBeUndefined()
  expect(unlikeNf4([one!, { ...other!, quant: { ...other!.quant!, blocksize: 128 } }])).toMatch(
    /scales for 128 weights, .*0\.w2\.weight for 64/,
  )
  expect(unlikeNf4([one!, { ...other!, quant: { ...other!.quant!, dtype: 'bf16' } }])).toMatch(/is of bf16, .* of f32/)
  // gate and up together fill what each leaves half empty
  expect(
    unlikeNf4(
      [
        { ...one!, rows: 3 },
        { ...other!, rows: 3 },
      ].map((t) => ({ ...t, cols: 32 })),
    ),
  ).toMatch(/3 × 32 weights are no multiple of 64/)
  expect(unlikeNf4([one!, { ...other!, quant: undefined }])).toMatch(/1\.w2\.weight is not quantised/)
})
