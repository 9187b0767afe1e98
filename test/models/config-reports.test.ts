/**
 * What others' users met where a config.json says rotation and windows in another place, or in other words, than a reader looked: what each is here. Right values
 * from transformers 5.23 (tools/oracle/configs.py: frequencies of its rotary embedding, and how many tokens its attention weights see). All but one held.
 *
 * vllm-project/vllm#46280, #48351, ml-explore/mlx-lm#1507, NVIDIA/TensorRT-LLM#16379   YaRN's attention_factor was read past, or taken times the formula's: it stands for it (rope.json)
 * deepseek-ai/DeepSeek-R1#684       attn_factor, which transformers doesn't know: no effect, as there (rope.json)
 * vllm-project/vllm#42624, #44158   rope_theta within rope_parameters and outside: the one within counts (rope.json)
 * sgl-project/sglang#14745, #26187, deepspeedai/DeepSpeed#8345, #8341, ml-explore/mlx-lm#953   rope_theta and YaRN in one of both places alone (rope.json)
 * huggingface/transformers#35896, #40126, vllm-project/vllm#15705, Blackwellboy/model-serving-minefield#107   Qwen's windows: none without use_sliding_window, then from max_window_layers on
 * InternLM/lmdeploy#3614            use_sliding_window false beside a window: none
 * vllm-project/vllm#33594           gpt-oss's windows go by layer_types, by turns only where there are none
 * ggml-org/llama.cpp#24833          GGUF keys of the older spelling and of rope_parameters are the same (mended: LongRoPE's lists of factors beside a rope_theta other than 10,000 in
 *                                   rope_parameters: the file said 10,000, which reading it back found, so such a model could not be written)
 * huggingface/transformers#48690, NVIDIA-NeMo/Automodel#3359   the balance loss over micro-batches that accumulate: TRL's (test/parity/training.test.ts: mixtral, gpt-oss)
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Full } from '../../src/adapters/full.ts'
import { checkConfig, entriesOf, ggufOf } from '../../src/export/gguf-config.ts'
import { inspect } from '../../src/graph/training.ts'
import { openConfig } from '../../src/models/registry.ts'

const size = {
  hidden_size: 32,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  num_hidden_layers: 4,
  intermediate_size: 16,
  vocab_size: 64,
  pad_token_id: null,
  max_position_embeddings: 256,
}

describe('windows', () => {
  const rows = JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures/configs/windows.json'), 'utf8'))
  it.each(
    (rows as { model_type: string; config: object; expected: number[] }[]).map(
      (row) => [row.model_type, JSON.stringify(row.config), row] as const,
    ),
  )('of a %s with %s', (model_type, _, { config, expected }) => {
    const { nodes } = inspect(openConfig({ ...size, model_type, ...config }), new Full(), 'f32')
    const windows = nodes.flatMap(({ op, attrs }) => (op.name === 'attention' ? [(attrs as { window: number }).window] : []))
    expect(windows).toEqual(expected)
  })
})

describe('keys of a GGUF file', () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
  const factors = { short_factor: [1, 1.05, 1.2, 1.5, 2, 2.5], long_factor: [1, 1.4, 2.3, 4, 7, 9] }
  const described = (json: object) => {
    const model = openConfig({ ...size, ...json })
    return ggufOf(model).describe(model.config)
  }
  it.each<[string, object, object?]>([
    ['llama', { rope_type: 'llama3', ...llama3 }],
    ['llama', { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, beta_fast: 16 }],
    ['qwen3', { rope_type: 'linear', factor: 2 }],
    ['phi3', { rope_type: 'longrope', ...factors }, { original_max_position_embeddings: 64, partial_rotary_factor: 0.75 }],
  ])('of %s with %j, in either spelling', (model_type, scaling, beside = {}) => {
    const { partial_rotary_factor: partial, ...rest } = beside as { partial_rotary_factor?: number }
    const inside = { ...scaling, rope_theta: 5000, ...(partial === undefined ? {} : { partial_rotary_factor: partial }) }
    const older = described({ model_type, rope_scaling: scaling, rope_theta: 5000, ...beside })
    expect(described({ model_type, rope_parameters: inside, ...rest })).toEqual(older)
    expect(older.keys['rope.freq_base']).toMatchObject({ value: 5000 })
  })
})

it('a model that a GGUF file can’t say is refused as what is exported, not as a file that nobody gave', () => {
  const rope_scaling = { rope_type: 'linear', factor: 2 }
  const latent = { num_key_value_heads: 2, first_k_dense_replace: 4, head_dim: 64, rope_scaling }
  const model = openConfig({ ...size, ...latent, model_type: 'deepseek_v3' })
  const { keys } = ggufOf(model).describe(model.config)
  const described = entriesOf({ keys }, ggufOf(model))
  expect(() => checkConfig(model, [described, []])).toThrow(
    expect.objectContaining({
      code: 'EXPORT_CONFIG',
      message: 'a GGUF file can\'t say what this deepseek_v3 model is: read back, it has the rope scaling "linear"; yarn is supported. Save it merged instead (safetensors)', // biome-ignore format: a sentence
    }),
  )
})
