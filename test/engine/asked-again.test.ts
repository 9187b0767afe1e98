/** Options of an adapter given again: what they mean counts, not how they are spelled. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { settledSpec } from '../../src/engine/adapter-modules.ts'
import { type AdapterConfig, loraConfig } from '../../src/formats/peft/config.ts'
import { openConfig } from '../../src/models/registry.ts'
import { checkAdapterOptions } from '../../src/train/options/adapter.ts'
import { resolve } from '../../src/train/options/resolve.ts'
import { sftFields } from '../../src/train/options/sft.ts'

const families = join(import.meta.dirname, '../fixtures/families')
const modelOf = (name: string) => openConfig(JSON.parse(readFileSync(join(families, name, 'model/config.json'), 'utf8')))
const LLAMA = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
const BOTH = ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj']

type Case = [family: string, there: Partial<AdapterConfig> & Pick<AdapterConfig, 'targetModules'>, given: Record<string, unknown>]

function check([family, there, given]: Case): void {
  const model = modelOf(family)
  const { config } = settledSpec({ kind: 'lora', config: loraConfig(there) }, model) as { config: AdapterConfig }
  checkAdapterOptions({ ...resolve(sftFields, []).options, ...given }, config, 'the adapter', model)
}

it.each<Case>([
  ['llama-mha', { targetModules: 'all-linear' }, { loraTargetModules: LLAMA }],
  ['llama-mha', { targetModules: LLAMA }, { loraTargetModules: 'all-linear' }],
  ['llama-mha', { targetModules: LLAMA }, { loraTargetModules: ['all-linear'] }],
  ['llama-mha', { targetModules: LLAMA }, { loraTargetModules: ['All-Linear'] }],
  ['llama-mha', { targetModules: ['q_proj'] }, { loraTargetModules: 'q_proj' }],
  ['llama-mha', { targetModules: ['v_proj', 'q_proj'] }, { loraTargetModules: ['q_proj', 'v_proj'] }],
  ['llama-mha', { targetModules: ['q_proj', 'v_proj'] }, { loraTargetModules: String.raw`.*\.(q|v)_proj` }],
  [
    'llama-mha',
    { targetModules: ['model.layers.0.self_attn.q_proj', 'model.layers.1.self_attn.q_proj'] },
    { loraTargetModules: ['q_proj'] },
  ],
  ['mixtral', { targetModules: ['q_proj'], targetParameters: BOTH }, { loraTargetModules: ['q_proj'] }],
  [
    'mixtral',
    { targetModules: ['q_proj'], targetParameters: BOTH },
    { loraTargetModules: ['q_proj'], loraTargetParameters: ['gate_up_proj', 'down_proj'] },
  ],
  [
    'qwen3-moe',
    { targetModules: ['q_proj', 'gate_proj', 'up_proj', 'down_proj'] },
    { loraTargetModules: String.raw`.*\.(q|gate|up|down)_proj` },
  ],
  ['mixtral', { targetModules: ['q_proj', 'w1', 'w2', 'w3'] }, { loraTargetParameters: BOTH }],
  ['gpt-oss', { targetModules: ['q_proj'], targetParameters: BOTH }, { loraTargetModules: ['q_proj'] }],
])('is the adapter that is there: %s %j, given %j', (...one) => {
  expect(() => check(one)).not.toThrow()
})

it.each<[...Case, RegExp]>([
  [
    'llama-mha',
    { targetModules: LLAMA },
    { loraTargetModules: ['q_proj'] },
    /an adapter already \(LoRA r 8\), of another targetModules: train it/,
  ],
  ['llama-mha', { targetModules: ['q_proj'] }, { loraTargetModules: ['q_proj', 'lm_head'] }, /of another targetModules/],
  [
    'llama-mha',
    { targetModules: ['q_proj'] },
    { loraTargetModules: ['q_proj', 'k_prj'] },
    /targetModules names k_prj, which is no module .*did you mean k_proj\?/,
  ],
  ['mixtral', { targetModules: ['q_proj'], targetParameters: BOTH }, { loraTargetModules: ['q_proj', 'w2'] }, /of another targetModules/],
  [
    'mixtral',
    { targetModules: ['q_proj'], targetParameters: BOTH },
    { loraTargetParameters: ['down_proj'] },
    /of another targetParameters/,
  ],
  ['mixtral', { targetModules: ['q_proj'], targetParameters: BOTH }, { loraR: 4 }, /of another r: train it/],
])('is another: %s %j, given %j', (family, there, given, error) => {
  expect(() => check([family, there, given])).toThrow(error)
})
