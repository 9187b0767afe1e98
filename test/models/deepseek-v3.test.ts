/** DeepSeek V3: the published files, what an adapter reaches, layers behind the last one, 4 bits. */
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CpuDevice } from '../../src/devices/cpu/device.ts'
import { LanguageModel } from '../../src/engine/language-model.ts'
import { writeModelFolder } from '../../src/engine/model-folder.ts'
import { OpenedModel } from '../../src/engine/opened-model.ts'
import { buffersOf, parametersOf, settle } from '../../src/engine/settle.ts'
import { FastLanguageModel } from '../../src/fast-language-model.ts'
import { readJsonObject } from '../../src/formats/json.ts'
import { loraConfig } from '../../src/formats/peft/config.ts'
import { writeSafetensors } from '../../src/formats/safetensors/write.ts'
import { openCheckpoint } from '../../src/models/checkpoint.ts'
import { openConfig } from '../../src/models/registry.ts'
import { temporary } from '../formats/fixtures.ts'

const fixtures = join(import.meta.dirname, '../fixtures')
const folder = join(fixtures, 'training/deepseek-v3/model')
const plain = { dtype: 'f32', loadIn4bit: false, doubleQuant: false } as const

// the keys of the published files
const v3 = {
  model_type: 'deepseek_v3', hidden_size: 7168, intermediate_size: 18432, moe_intermediate_size: 2048, num_hidden_layers: 61, num_attention_heads: 128,
  num_key_value_heads: 128, n_shared_experts: 1, n_routed_experts: 256, ep_size: 1, routed_scaling_factor: 2.5, kv_lora_rank: 512, q_lora_rank: 1536,
  qk_rope_head_dim: 64, v_head_dim: 128, qk_nope_head_dim: 128, topk_method: 'noaux_tc', n_group: 8, topk_group: 4, num_experts_per_tok: 8,
  moe_layer_freq: 1, first_k_dense_replace: 3, norm_topk_prob: true, scoring_func: 'sigmoid', num_nextn_predict_layers: 1, hidden_act: 'silu', vocab_size: 129280,
  initializer_range: 0.02, rms_norm_eps: 1e-6, tie_word_embeddings: false, use_cache: true, attention_bias: false, attention_dropout: 0.0,
  max_position_embeddings: 163840, rope_theta: 10000, bos_token_id: 0, eos_token_id: 1,
  rope_scaling: { type: 'yarn', factor: 40, beta_fast: 32, beta_slow: 1, mscale: 1.0, mscale_all_dim: 1.0, original_max_position_embeddings: 4096 },
  quantization_config: { activation_scheme: 'dynamic', fmt: 'e4m3', quant_method: 'fp8', weight_block_size: [128, 128] },
} // biome-ignore format: a table
const moonlight = {
  ...v3, hidden_size: 2048, intermediate_size: 11264, moe_intermediate_size: 1408, num_hidden_layers: 27, num_attention_heads: 16, num_key_value_heads: 16,
  n_shared_experts: 2, n_routed_experts: 64, routed_scaling_factor: 2.446, q_lora_rank: null, n_group: 1, topk_group: 1, num_experts_per_tok: 6,
  first_k_dense_replace: 1, num_nextn_predict_layers: 0, vocab_size: 163840, max_position_embeddings: 8192, rope_theta: 50000, rope_scaling: null,
} // biome-ignore format: a table

it.each([
  ['V3, R1', v3, { layers: 61, dense: 3 }, 671_026_404_352],
  ['Moonlight', moonlight, { layers: 27, dense: 1 }, 15_960_108_544],
])('%s: opens, of the size it has in transformers', (_, config, { layers, dense }, parameters) => {
  const model = openConfig(config)
  const all = [...parametersOf(model).values()]
  expect(all.reduce((n, { rows, cols }) => n + rows * cols, 0)).toBe(parameters)
  const routers = Array.from({ length: layers - dense }, (_, i) => `model.layers.${dense + i}.mlp.gate.e_score_correction_bias`)
  expect([...buffersOf(model)]).toEqual(routers)
})

it('an adapter goes over attention and experts, not over dense and shared MLPs, as PEFT has it', async () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const { model } = await FastLanguageModel.fromPretrained(folder, { device, dtype: 'f32', loadIn4bit: false })
    const attention = ['kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj', 'q_a_proj', 'q_b_proj']
    const reached = (options: object) => {
      const { names } = FastLanguageModel.getPeftModel(model, { r: 4, loraDropout: 0, ...options }).language.trainables
      return [...new Set(names.map((name) => name.replace(/^model\.layers\.\d+\.(self_attn\.)?|\.lora_[AB]\.weight$/g, '')))].sort()
    }
    expect(reached({})).toEqual([...attention, 'mlp.experts', 'mlp.experts.base_layer'].sort())
    expect(reached({ targetModules: 'all-linear' })).toEqual([...attention, 'mlp.experts', 'mlp.experts.base_layer', 'mlp.gate'].sort())
    expect(reached({ targetModules: ['kv_b_proj', 'down_proj'] })).toEqual(['kv_b_proj', 'mlp.experts'])
    await model.dispose()
  } finally {
    device.dispose()
  }
})

it('4 bits: every linear of the blocks, neither norms nor embedding and head', () => {
  const device = new CpuDevice({ threads: 1 })
  try {
    const opened = new OpenedModel(device, openCheckpoint(folder), { dtype: 'bf16', loadIn4bit: true, doubleQuant: true })
    const { recorder } = new LanguageModel(opened, { kind: 'lora', config: loraConfig({ targetModules: ['o_proj'] }) }, 0)
    const inNf4 = [...recorder.weights.values()].filter(({ dtype }) => dtype === 'nf4').map(({ name }) => name)
    const attention = ['q_a_proj', 'q_b_proj', 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj'].map((name) => `self_attn.${name}.weight`)
    const mlp = (path: string) => ['gate_proj', 'up_proj', 'down_proj'].map((name) => `${path}.${name}.weight`)
    const within = (layer: number) =>
      inNf4
        .filter((name) => name.startsWith(`model.layers.${layer}.`))
        .map((name) => name.slice(15))
        .sort()
    expect(within(0)).toEqual([...attention, ...mlp('mlp')].sort())
    expect(within(1)).toEqual([...attention, ...mlp('mlp.shared_experts'), 'mlp.experts.gate_up_proj', 'mlp.experts.down_proj'].sort())
    expect(inNf4).toHaveLength(18)
  } finally {
    device.dispose()
  }
})

it('layers that predict further tokens lie behind the last one: left out, by name', async () => {
  const out = join(temporary(), 'model')
  cpSync(folder, out, { recursive: true })
  const { checkpoint } = settle(openCheckpoint(folder))
  const tensors = [...checkpoint.tensors.values()].map((t) => ({ name: t.name, dtype: 'F32', shape: t.shape, data: t.load('f32') }))
  const further = ['model.layers.2.eh_proj.weight', 'model.layers.2.enorm.weight'].map((name) => ({
    name,
    dtype: 'F32',
    shape: [2],
    data: new Uint8Array(8),
  }))
  await writeSafetensors(join(out, 'model.safetensors'), [...tensors, ...further])
  const settled = settle(openCheckpoint(out))
  expect([...settled.checkpoint.tensors.keys()].sort()).toEqual([...checkpoint.tensors.keys()].sort())
  expect(settled.notes).toEqual([
    expect.stringMatching(/model\.layers\.2\.eh_proj\.weight, model\.layers\.2\.enorm\.weight are no part of a deepseek_v3 model/),
  ])
  const config = readJsonObject(join(out, 'config.json'))
  writeFileSync(join(out, 'config.json'), JSON.stringify({ ...config, num_nextn_predict_layers: 1 }))
  const opened = new OpenedModel(new CpuDevice({ threads: 1 }), openCheckpoint(out), plain)
  const saved = join(temporary(), 'saved')
  await writeModelFolder(opened, saved, () => null)
  opened.dispose()
  // what lacks them says so: readers that would use them look for them by this key
  expect(openCheckpoint(saved).config.num_nextn_predict_layers).toBe(0)
  expect([...openCheckpoint(saved).tensors.keys()].filter((name) => name.startsWith('model.layers.2.'))).toEqual([])
})
