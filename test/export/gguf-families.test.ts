/** Every family's GGUF files written again from what was read of them: the same tensors bit for bit, a configuration that computes the same. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { toBlocks } from '../../src/devices/cpu/ggml-blocks.ts'
import { settle } from '../../src/engine/settle.ts'
import { checkConfig, differenceOf, entriesOf, ggufOf } from '../../src/export/gguf-config.ts'
import { placeTensors } from '../../src/formats/gguf/place.ts'
import { ggmlType } from '../../src/formats/gguf/types.ts'
import { type Entries, u32, writeGguf } from '../../src/formats/gguf/write.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { temporary } from '../formats/fixtures.ts'

const folder = join(import.meta.dirname, '../fixtures/gguf-families')
const F32 = ggmlType('F32')

type Written = Parameters<typeof writeGguf>[2][number]

/** @param step rows read at once; @param more entries and tensors that are written beside the model's */
async function written(file: string, step: number, more: { entries?: Entries; tensors?: (own: readonly Written[]) => Written[] } = {}) {
  const given = openCheckpoint(file)
  const { checkpoint, model } = settle(given)
  const layout = ggufOf(model)
  const described = layout.describe(model.config)
  const sources = [...checkpoint.tensors.values()].map((t) => ({ ...t, read: (from: number, n: number) => asF32(t.load('f32', from, n)) }))
  const placed = placeTensors(sources, layout, {
    heads: model.config.count('num_attention_heads'),
    kvHeads: described.keys['attention.head_count_kv']!.value as number,
    byHead: layout.headRows?.(model.config),
    pieces: (name) => model.pieces?.(name) ?? [],
  })
  const tensors = [
    ...Object.entries(described.factors ?? {}).map(([name, values]) => ({
      ...{ name, shape: [values.length], type: F32 },
      data: () => [toBlocks(Float32Array.from(values), F32)],
    })),
    ...placed.map((source) => ({
      ...{ name: source.name, shape: source.shape, type: F32 },
      *data() {
        for (let row = 0; row < source.rows; row += step) yield toBlocks(source.read(row, Math.min(step, source.rows - row)), F32)
      },
    })),
  ]
  const entries = entriesOf(described, layout)
  checkConfig(model, [entries, tensors], described.factors)
  const path = join(temporary(), 'again.gguf')
  await writeGguf(path, { ...entries, ...more.entries }, [...tensors, ...(more.tensors?.(tensors) ?? [])])
  return { given, again: openCheckpoint(path) }
}

const names = readdirSync(folder).filter((name) => name.endsWith('.gguf'))

it.each(names)('%s', async (name) => {
  for (const step of [7, 1 << 20]) {
    const { given, again } = await written(join(folder, name), step)
    expect([...again.tensors.keys()]).toEqual([...given.tensors.keys()])
    const differ = [...given.tensors].filter(([key, t]) => Buffer.compare(again.tensors.get(key)!.load('f32'), t.load('f32')) !== 0)
    expect(differ).toEqual([])
    const { pad_token_id: _, ...config } = given.config
    const difference = differenceOf(openConfig({ ...config, pad_token_id: null }), openConfig({ ...again.config, pad_token_id: null }))
    expect(difference).toBeNull()
  }
})

it('what the architecture has no key for is refused, naming what would be otherwise', () => {
  const base = {
    ...{ vocab_size: 48, hidden_size: 32, intermediate_size: 40, num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2 },
    ...{ max_position_embeddings: 128, rms_norm_eps: 1e-6, head_dim: 8, pad_token_id: null },
  }
  const refused = (config: Record<string, unknown>) => {
    const model = openConfig({ ...base, ...config })
    const layout = ggufOf(model)
    const described = layout.describe(model.config)
    const tensors = [
      { name: 'token_embd.weight', shape: [48, 32], type: F32 },
      { name: 'output.weight', shape: [48, 32], type: F32 },
      ...(config.model_type === 'qwen2' ? ['q', 'k', 'v'].map((x) => ({ name: `blk.0.attn_${x}.bias`, shape: [32], type: F32 })) : []),
    ]
    return () => checkConfig(model, [entriesOf(described, layout), tensors], described.factors)
  }
  const qwen = { model_type: 'qwen2', head_dim: undefined }
  expect(refused(qwen)).not.toThrow()
  expect(refused({ ...qwen, use_sliding_window: true, sliding_window: 16, max_window_layers: 2 })).toThrow(/has window 0, not 16/)
  expect(refused({ model_type: 'smollm3', head_dim: undefined, no_rope_layers: [1, 1, 0, 1] })).toThrow(
    /a GGUF file can't say what this smollm3 model is/,
  )
  const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 }
  expect(refused({ model_type: 'llama', rope_scaling: yarn })).not.toThrow()
  expect(refused({ model_type: 'llama', rope_scaling: { ...yarn, attention_factor: 2 } })).toThrow(/not 2/)
  const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
  expect(refused({ model_type: 'llama', rope_theta: 500000, rope_scaling: llama3 })).not.toThrow()
  expect(
    refused({
      model_type: 'gemma3_text',
      query_pre_attn_scalar: 8,
      sliding_window: 16,
      layer_types: ['full_attention', 'sliding_attention', 'full_attention', 'full_attention'],
    }),
  ).toThrow(/layers\.1\.rope_table does rope, not rope_table/)
})

it('blocks that predict further tokens lie behind the last one: left out, by name, and not told of in what is written again', async () => {
  const file = join(folder, 'deepseek2-v3.gguf')
  const layers = openCheckpoint(file).config.num_hidden_layers as number
  const further = await written(file, 64, {
    entries: { 'deepseek2.block_count': u32(layers + 1), 'deepseek2.nextn_predict_layers': u32(1) },
    tensors: (own) => [
      // a block like the last one, and the parts that only these have
      ...own.flatMap((t) => {
        const name = t.name.replace(`blk.${layers - 1}.`, `blk.${layers}.`)
        return name === t.name ? [] : [{ ...t, name }]
      }),
      ...['eh_proj', 'embed_tokens', 'enorm', 'hnorm', 'shared_head_head', 'shared_head_norm'].map((part) => ({
        ...{ name: `blk.${layers}.nextn.${part}.weight`, shape: [4], type: F32 },
        data: () => [new Uint8Array(16)],
      })),
    ],
  })
  expect(further.again.config).toMatchObject({ num_hidden_layers: layers, num_nextn_predict_layers: 1 })
  const [found, plain] = [settle(further.again), settle(further.given)]
  expect(found.notes).toEqual([
    expect.stringMatching(
      new RegExp(`model\\.layers\\.${layers}\\.eh_proj\\.weight, .* and \\d+ more are no part of a deepseek_v3 model: left out`),
    ),
  ])
  expect([...found.checkpoint.tensors.keys()]).toEqual([...plain.checkpoint.tensors.keys()])
  expect(differenceOf(found.model, plain.model)).toBeNull()
  expect(Object.keys(ggufOf(found.model).describe(found.model.config).keys)).not.toContain('nextn_predict_layers')
  // a file that lost them and still tells of them has all of its blocks
  const lost = await written(file, 64, { entries: { 'deepseek2.nextn_predict_layers': u32(1) } })
  expect(lost.again.config.num_hidden_layers).toBe(layers)
  expect(differenceOf(settle(lost.again).model, plain.model)).toBeNull()
  const first = (own: readonly Written[]) => [{ ...own[0]!, name: 'blk.0.nextn.eh_proj.weight' }]
  await expect(written(file, 64, { entries: { 'deepseek2.nextn_predict_layers': u32(1) }, tensors: first })).rejects.toThrow(
    `says deepseek2.nextn_predict_layers 1, but blocks 0 of ${layers} have what such a layer has`,
  )
  const all = { 'deepseek2.nextn_predict_layers': u32(layers) }
  await expect(written(file, 64, { entries: all })).rejects.toThrow(`says deepseek2.nextn_predict_layers ${layers}, of ${layers} blocks`)
})
