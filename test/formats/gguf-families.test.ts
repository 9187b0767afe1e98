/** Tiny GGUF files of families that have names, values or an order of their own, as tools/oracle/gguf_families.py makes and reads them. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buffersOf, parametersOf } from '../../src/engine/settle.ts'
import { ggufConfig } from '../../src/formats/gguf/config.ts'
import type { GgufValue } from '../../src/formats/gguf/header.ts'
import { readGguf } from '../../src/formats/gguf/open.ts'
import { type JsonObject, readJsonObject } from '../../src/formats/json.ts'
import { exactEntries } from '../../src/formats/json-exact.ts'
import { asF32, bytesOf, f32ToBf16 } from '../../src/formats/numbers.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { families, openConfig } from '../../src/models/registry.ts'
import { temporary } from './fixtures.ts'

const folder = join(import.meta.dirname, '../fixtures/gguf-families')
const names = readdirSync(folder).flatMap((file) => (file.endsWith('.gguf') ? [file.slice(0, -5)] : []))

describe.each(names)('%s', (name) => {
  const { config, tensors } = readJsonObject(join(folder, `${name}.json`)) as Record<'config' | 'tensors', JsonObject>
  const checkpoint = openCheckpoint(join(folder, `${name}.gguf`))

  it('has the configuration of transformers, floats as floats', () => {
    const ours = new Map(exactEntries(checkpoint.config))
    for (const [key, value] of exactEntries(config)) expect([key, ours.get(key)]).toEqual([key, value])
  })

  it('has its tensors, bit for bit, and those that the model is made of', () => {
    const ours = Object.fromEntries(
      [...checkpoint.tensors.values()].map((t) => [t.name, createHash('sha256').update(t.load('f32')).digest('hex')]),
    )
    expect(ours).toEqual(tensors)
    const model = openConfig(checkpoint.config)
    // as files have it: experts by themselves
    const made = [...parametersOf(model).keys(), ...buffersOf(model)].flatMap((key) => model.pieces?.(key)[0] ?? [key])
    expect(made.sort()).toEqual(Object.keys(tensors).sort())
  })
})

describe('DeepSeek', () => {
  const file = join(folder, 'deepseek2-v3.gguf')
  const { version, metadata, tensors } = readGguf(file)
  const layouts = families.flatMap(({ gguf }) => gguf ?? [])
  const read = (changes: Record<string, GgufValue | undefined>) => {
    const all: [string, GgufValue | undefined][] = [...metadata, ...Object.entries(changes)]
    const changed = new Map([...new Map(all)].filter((entry): entry is [string, GgufValue] => entry[1] !== undefined))
    return ggufConfig({ version, metadata: changed, tensors }, 'model.gguf', {}, layouts).config
  }

  it('any rows of kv_b_proj come out of their heads', () => {
    const kv = openCheckpoint(file).tensors.get('model.layers.1.self_attn.kv_b_proj.weight')!
    const whole = asF32(kv.load('f32'))
    for (const [from, count] of [[0, 1], [5, 2], [6, 10], [3, 40], [63, 1]] as const)
      expect(asF32(kv.load('f32', from, count))).toEqual(whole.subarray(from * kv.cols, (from + count) * kv.cols))
    expect(kv.load('bf16', 4, 30)).toEqual(bytesOf(f32ToBf16(whole.subarray(4 * kv.cols, 34 * kv.cols))))
  }) // biome-ignore format: a table

  it('a linear of which one part is missing is refused', () => {
    const path = join(temporary(), 'model.gguf')
    const bytes = readFileSync(file)
    bytes.write('attn_kkb', bytes.indexOf('blk.1.attn_v_b') + 6)
    writeFileSync(path, bytes)
    expect(() => openCheckpoint(path)).toThrow(/attn_kkb/)
  })

  it.each([
    ['a router of another kind', { 'deepseek2.expert_gating_func': 3 }, /has deepseek2\.expert_gating_func 3, which is none of the models known here/],
    ['groups that the file keeps silent about', { 'deepseek2.expert_count': 256, 'deepseek2.expert_group_count': undefined }, /256 experts but no deepseek2\.expert_group_count.*October 2025/],
    ['a rotation of another kind', { 'deepseek2.rope.scaling.type': 'longrope' }, /rope scaling "longrope"; yarn is supported/],
    ['heads without their sizes', { 'deepseek2.attention.key_length_mla': undefined }, /no deepseek2\.attention\.key_length_mla/],
  ])('%s: refused by name', (_, changes, error) => {
    expect(() => read(changes)).toThrow(error)
  }) // biome-ignore format: a table

  it('a rotation scaled without mscale, a context that is not stretched', () => {
    expect(read({ 'deepseek2.rope.scaling.yarn_log_multiplier': undefined }).rope_scaling).not.toHaveProperty('mscale')
    expect(read({ 'deepseek2.rope.scaling.type': undefined, 'deepseek2.rope.scaling.factor': undefined })).not.toHaveProperty(
      'rope_scaling',
    )
  })
})
