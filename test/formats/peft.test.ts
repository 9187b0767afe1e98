import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readRange } from '../../src/formats/files.ts'
import { adapterConfigText, readAdapterConfig } from '../../src/formats/peft/config.ts'
import { readAdapter } from '../../src/formats/peft/read.ts'
import { loraScale, rankOf } from '../../src/formats/peft/scale.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { temporary } from './fixtures.ts'

// written by PEFT's save_pretrained: every kind of adapter (tools/oracle/families.py)
const root = join(import.meta.dirname, '../fixtures/families')
const folder = (name: string) => join(root, name, 'adapter')

describe('an adapter of PEFT', () => {
  test('comes under the names of the base model', () => {
    const head = readAdapter(folder('lora-head-embed'))
    expect(head.modules.get('lm_head')).toMatchObject({ embedding: false })
    expect(head.modules.get('model.embed_tokens')).toMatchObject({ embedding: true })
    expect([...head.base.keys()].sort()).toEqual(['lm_head.weight', 'model.embed_tokens.weight'])
    const biases = readAdapter(folder('lora-bias-lora-only'))
    expect([...biases.saved.keys()].every((name) => name.endsWith('_proj.bias'))).toBe(true)
    expect(biases.saved.size).toBeGreaterThan(0)
  })
})

describe('scale and rank of a module', () => {
  const config = {
    r: 8,
    loraAlpha: 16,
    useRslora: false,
    rankPattern: { 'layers.1.self_attn.q_proj': 4, '.*k_proj': 2 },
    alphaPattern: { q_proj: 32 },
  }
  test('follow the first pattern that matches the end of its path', () => {
    expect(rankOf(config, 'model.layers.1.self_attn.q_proj')).toBe(4)
    expect(rankOf(config, 'model.layers.11.self_attn.q_proj')).toBe(8)
    expect(rankOf(config, 'model.layers.0.self_attn.k_proj')).toBe(2)
    expect(loraScale(config, 'model.layers.1.self_attn.q_proj')).toBe(8)
    expect(loraScale(config, 'model.layers.0.self_attn.v_proj')).toBe(2)
    expect(loraScale({ ...config, useRslora: true }, 'x.v_proj')).toBeCloseTo(16 / Math.sqrt(8), 12)
  })

  test('patterns that are no expressions, or that may never end, are refused', () => {
    for (const key of ['(', '(a+)+', '(.*)*x']) {
      expect(() => rankOf({ ...config, rankPattern: { [key]: 1 } }, 'x')).toThrow(expect.objectContaining({ code: 'FORMAT_ADAPTER' }))
    }
  })
})

describe('an adapter we can not use', () => {
  function changed(change: Record<string, unknown>, name = 'lora-all-linear'): string {
    const path = temporary()
    cpSync(folder(name), path, { recursive: true })
    const file = join(path, 'adapter_config.json')
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }))
    return path
  }

  test.each([
    ['peft_type', 'IA3'],
    ['use_dora', true],
    ['layer_replication', [[0, 4]]],
    ['target_parameters', 'x'],
    ['trainable_token_indices', [-1]],
    ['fan_in_fan_out', true],
    ['init_lora_weights', 'pissa'],
    ['task_type', 'SEQ_CLS'],
    ['a_switch_of_tomorrow', true],
    ['bias', 'some'],
    ['r', 0],
    ['lora_dropout', 1],
    ['lora_dropout', -0.1],
    ['r', '8'],
    ['target_modules', [1]],
    ['rank_pattern', { q_proj: -1 }],
  ])('%s: %j', (key, value) => {
    expect(() => readAdapter(changed({ [key]: value }))).toThrow(
      expect.objectContaining({ code: 'FORMAT_ADAPTER', message: expect.stringContaining(key) }),
    )
  })

  test('what is off is no reason, whoever wrote it', () => {
    expect(() =>
      readAdapterConfig(
        changed({ use_dora: false, a_switch_of_tomorrow: null, another: {}, runtime_config: { x: 1 }, peft_version: '0.4.0' }),
      ),
    ).not.toThrow()
    expect(adapterConfigText(readAdapterConfig(changed({})))).toContain('"lora_dropout": 0.0')
  })

  test('a rank that the tensors do not have', () => {
    expect(() => readAdapter(changed({ r: 3 }))).toThrow(/says rank 3/)
  })

  test('a pickle, or nothing', () => {
    const path = changed({})
    rmSync(join(path, 'adapter_model.safetensors'))
    expect(() => readAdapter(path)).toThrow(/no adapter_model.safetensors/)
    writeFileSync(join(path, 'adapter_model.bin'), '')
    expect(() => readAdapter(path)).toThrow(/pickle/)
  })

  test.each([
    ['a tensor that is elsewhere', /does not start with/, (name: string) => name.replace('base_model.', '')],
    ['half a pair', /only one of/, (name: string) => name.replace(/layers\.0\.(.*q_proj)\.lora_B/, 'layers.7.$1.lora_B')],
    [
      'DoRA magnitudes',
      /DoRA/,
      (name: string) => name.replace(/layers\.0\.(.*q_proj)\.lora_B\.weight/, 'layers.0.$1.lora_magnitude_vector'),
    ],
  ])('%s', async (_, message, rename) => {
    const path = changed({})
    const file = join(folder('lora-all-linear'), 'adapter_model.safetensors')
    const tensors = [...readSafetensors(file).tensors].map(
      ([name, { dtype, shape, offset, bytes }]): TensorToWrite => ({
        name: rename(name),
        dtype,
        shape,
        data: readRange(file, offset, bytes),
      }),
    )
    await writeSafetensors(join(path, 'adapter_model.safetensors'), tensors)
    expect(() => readAdapter(path)).toThrow(message)
  })
})
