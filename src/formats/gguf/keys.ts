/**
 * Keys below the architecture's name in GGUF metadata (names of gguf-py's constants): those that are read, those that change nothing in the
 * models we have, and those that do so at one value only. Any other would change the model in a way we don't know.
 */
import type { GgufValue } from './header.ts'

const words = (...lines: string[]) => new Set(lines.flatMap((line) => line.split(' ')))

const read = words(
  'vocab_size context_length embedding_length block_count feed_forward_length expert_count expert_used_count attention.head_count',
  'attention.head_count_kv attention.key_length attention.value_length attention.layer_norm_rms_epsilon attention.sliding_window',
  'attention.causal rope.dimension_count rope.freq_base rope.scaling.type rope.scaling.factor rope.scaling.original_context_length',
  'rope.scaling.attn_factor rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow',
  'rope.scaling.yarn_log_multiplier rope.scale_linear',
)

/** Who converted the file from what, what other tasks take from the last layer, sizes of parts that are not there. */
const idle = words(
  'tensor_data_layout rope.scaling.finetuned pooling_type classifier.output_labels decoder_start_token_id attention.layer_norm_epsilon',
  'attention.group_norm_epsilon attention.group_norm_groups expert_gating_func expert_weights_norm attention.key_length_swa',
  'attention.value_length_swa attention.sliding_window_pattern rope.freq_base_swa rope.dimension_count_swa',
)

/** What a key says when it says nothing. Scales of 0 are not applied. */
const neutral: Readonly<Record<string, readonly GgufValue[]>> = {
  use_parallel_residual: [false],
  logit_scale: [0, 1],
  residual_scale: [0, 1],
  embedding_scale: [0, 1],
  attn_logit_softcapping: [0],
  final_logit_softcapping: [0],
  router_logit_softcapping: [0],
  expert_shared_count: [0],
  expert_group_count: [0],
  expert_group_used_count: [0],
  expert_feed_forward_length: [0],
  expert_shared_feed_forward_length: [0],
  expert_weights_scale: [0, 1],
  leading_dense_block_count: [0],
  nextn_predict_layers: [0],
  n_deepstack_layers: [0],
  swin_norm: [false],
  embedding_length_per_layer_input: [0],
  'attention.max_alibi_bias': [0],
  'attention.clamp_kqv': [0],
  'attention.q_lora_rank': [0],
  'attention.kv_lora_rank': [0],
  'attention.shared_kv_layers': [0],
  'attention.output_scale': [0, 1],
  'attention.temperature_length': [0],
  'attention.temperature_scale': [0],
  'rope.scaling.alpha': [0, 1],
}

/** Whether `name` (less the architecture) is read elsewhere, or has no effect at this value. */
export function isKnownKey(name: string, value: GgufValue, headDim: () => number): boolean {
  if (read.has(name) || idle.has(name)) return true
  if (name === 'attention.scale') return value === 0 || Math.fround(headDim() ** -0.5) === Math.fround(Number(value))
  return Object.hasOwn(neutral, name) && neutral[name]!.includes(value)
}
