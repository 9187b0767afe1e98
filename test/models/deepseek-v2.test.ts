/** DeepSeek V2: the published files. */
import { expect, it } from 'vitest'
import { buffersOf, parametersOf } from '../../src/engine/settle.ts'
import { readJsonObject } from '../../src/formats/json.ts'
import { openConfig } from '../../src/models/registry.ts'

const lite = readJsonObject(new URL('../../examples/configs/deepseek-v2-lite.json', import.meta.url).pathname)
const v2 = {
  ...lite, hidden_size: 5120, intermediate_size: 12288, moe_intermediate_size: 1536, num_hidden_layers: 60, num_attention_heads: 128, num_key_value_heads: 128,
  n_routed_experts: 160, routed_scaling_factor: 16, q_lora_rank: 1536, n_group: 8, topk_group: 3, topk_method: 'group_limited_greedy',
} // biome-ignore format: a table

it.each([
  ['V2-Lite, Coder-V2-Lite', lite, 15_706_484_224],
  ['V2, V2.5', v2, 235_741_434_880],
])('%s: opens, of the size it has in transformers, without buffers', (_, config, parameters) => {
  const model = openConfig(config)
  expect([...parametersOf(model).values()].reduce((n, { rows, cols }) => n + rows * cols, 0)).toBe(parameters)
  expect([...buffersOf(model)]).toEqual([])
})
