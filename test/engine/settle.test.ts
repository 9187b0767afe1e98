/** What files and config.json mean together is what transformers makes of them: ties, prefixes, tensors that are no part of the model. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { saveTrained } from '../../src/engine/save.ts'
import { settle, settledConfig } from '../../src/engine/settle.ts'
import { asF32 } from '../../src/formats/numbers.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { answersOf } from '../generate/texts.ts'

const root = join(import.meta.dirname, '../fixtures/adapters')
const work = mkdtempSync(join(tmpdir(), 'saqr-settle-'))
afterAll(() => rmSync(work, { recursive: true }))

const E = 'model.embed_tokens.weight'
const H = 'lm_head.weight'
let made = 0

/** A recorded base with other tensors; config.json stays as it is unless told otherwise. */
async function changed(base: string, change: (tensors: Map<string, TensorToWrite>) => void, config: object = {}): Promise<string> {
  const folder = join(work, String(made++))
  cpSync(join(root, base), folder, { recursive: true })
  const path = join(folder, 'model.safetensors')
  const bytes = readFileSync(path)
  const tensors = new Map(
    [...readSafetensors(path).tensors].map(([name, { dtype, shape, offset, bytes: size }]): [string, TensorToWrite] => {
      return [name, { name, dtype, shape, data: bytes.subarray(offset, offset + size) }]
    }),
  )
  change(tensors)
  await writeSafetensors(
    path,
    [...tensors].map(([name, t]) => ({ ...t, name })),
  )
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...config }))
  return folder
}

const valuesOf = (folder: string) =>
  new Map([...settle(openCheckpoint(folder)).checkpoint.tensors].map(([name, t]) => [name, asF32(t.load('f32'))]))
const sorted = (tensors: Map<string, unknown>) => [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))

describe('the same model', () => {
  const move = (tensors: Map<string, TensorToWrite>, from: string, to: string) => {
    tensors.set(to, tensors.get(from)!)
    tensors.delete(from)
  }
  const bare = (tensors: Map<string, TensorToWrite>) => {
    for (const name of [...tensors.keys()]) move(tensors, name, name.replace('model.', ''))
  }
  it.each<[string, (tensors: Map<string, TensorToWrite>) => void, number]>([
    ['with a head that is the embedding once more', (t) => t.set(H, t.get(E)!), 0],
    ['with only the head of the two', (t) => move(t, E, H), 0],
    ['without the prefix', (t) => bare(t), 0],
    ['with the prefix before the head too', (t) => move(t, E, `model.${H}`), 0],
    ['with a buffer of integers', (t) => t.set('model.position_ids', { name: '', dtype: 'I64', shape: [1], data: new Uint8Array(8) }), 1],
    ['with a bias that its config does not have', (t) => t.set('model.layers.0.self_attn.q_proj.bias', { name: '', dtype: 'F32', shape: [16], data: new Uint8Array(64) }), 1],
    ['with frequencies of old', (t) => t.set('model.layers.0.self_attn.rotary_emb.inv_freq', { name: '', dtype: 'F32', shape: [8], data: new Uint8Array(32) }), 0],
  ])('%s', async (_, change, notes) => {
    const folder = await changed('tied', change)
    expect(sorted(valuesOf(folder))).toEqual(sorted(valuesOf(join(root, 'tied'))))
    const settled = settle(openCheckpoint(folder))
    expect(settled.notes).toHaveLength(notes)
    expect(settled.model.head.tiedTo).toBe('model.embed_tokens')
    expect(settledConfig(folder).tie_word_embeddings).toBe(true)
    // and it is saved as itself
    const device = new CpuDevice({ threads: 1 })
    try {
      const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
      const out = join(work, `out-${made++}`)
      await saveTrained(new LanguageModel(opened, { kind: 'full' }, 0), out)
      expect([...readSafetensors(join(out, 'model.safetensors')).tensors.keys()].sort()).toEqual([...valuesOf(join(root, 'tied')).keys()].sort())
    } finally {
      device.dispose()
    }
  }) // biome-ignore format: a table
})

it('two that a config ties, but that differ, are two: told, and saved so', async () => {
  const folder = await changed('untied', () => {}, { tie_word_embeddings: true })
  const { checkpoint, model, notes } = settle(openCheckpoint(folder))
  expect(sorted(valuesOf(folder))).toEqual(sorted(valuesOf(join(root, 'untied'))))
  expect([model.head.tiedTo, checkpoint.config.tie_word_embeddings, settledConfig(folder).tie_word_embeddings]).toEqual([
    undefined,
    false,
    false,
  ])
  expect(notes).toEqual([expect.stringContaining('not tied')])
})

it('a tensor twice, with the prefix and without, is refused', async () => {
  const folder = await changed('tied', (t) => t.set('norm.weight', t.get('model.norm.weight')!))
  expect(() => settle(openCheckpoint(folder))).toThrow(
    expect.objectContaining({ code: 'MODEL_WEIGHT', message: expect.stringContaining('model.norm.weight twice') }),
  )
})

it.each([[24], [-1], [0.5]])('the token id %d, which the embedding has no row for, is refused by name', async (id) => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(join(root, 'tied')), { dtype: 'f32', loadIn4bit: false, doubleQuant: false })
    const asked = answersOf(new LanguageModel(opened, { kind: 'none' }, 0), [[3, id]], {})
    await expect(asked).rejects.toMatchObject({ code: 'MODEL_VOCABULARY', message: expect.stringContaining(`${id}`) })
  } finally {
    device.dispose()
  }
})

it('an embedding within a layer, as layers that guess further tokens have one, says nothing of the model’s class', async () => {
  const within = 'model.layers.9.embed_tokens.weight'
  const folder = await changed('tied', (tensors) => {
    tensors.set(within, tensors.get(E)!)
    tensors.delete(E)
  })
  expect(settle(openCheckpoint(folder)).notes).toEqual([expect.stringContaining(`${within} is no part`)])
})
