/**
 * Names that older recipes hold and TRL 1.16 no longer has, or that only its launcher reads. TRL passes over most of them in
 * silence; here each is taken under its new name, or classified like any other field.
 */

import { z } from 'zod'
import { option, SaqrError, say } from '../../error.ts'
import { refused, subsumed } from './field.ts'
import type { Given } from './resolve.ts'
import { flag, optionalText, text } from './schemas.ts'

/** old name -> the name that means the same now */
export const renamed: Readonly<Record<string, string>> = {
  torch_dtype: 'dtype',
  max_seq_length: 'max_length',
  evaluation_strategy: 'eval_strategy',
  warmup_ratio: 'warmup_steps',
  no_cuda: 'use_cpu',
  per_gpu_train_batch_size: 'per_device_train_batch_size',
  per_gpu_eval_batch_size: 'per_device_eval_batch_size',
}

/** @throws nothing; what is wrong with a value under its old name, where that meant less than the new one does */
export function wrongUnderOldName({ name, value, old, said }: Given): SaqrError | undefined {
  if (!old || name !== 'warmup_steps' || typeof value !== 'number' || value < 1) return undefined
  return new SaqrError(
    'OPTION_INVALID',
    say`${said} ${value} is no share of all steps, which is below 1; for a number of steps there is ${option('warmupSteps')}`,
  )
}

const ONE_LIMIT = say`prompt and answer have one limit in TRL 1.16: ${option('maxLength')}`

/** of preference training before TRL 1 */
export const retiredOfPairs = {
  rpo_alpha: refused(
    z.number().nullable(),
    null,
    say`it is a loss of its own in TRL 1.16: ${option('lossType')} sigmoid sft, with 1 and its value as ${option('lossWeights')}`,
  ),
  max_prompt_length: refused(z.int().nullable(), null, ONE_LIMIT),
  max_target_length: refused(z.int().nullable(), null, ONE_LIMIT),
  reference_free: refused(flag, false, 'TRL 1.16 has no such loss; leave it out'),
  force_use_ref_model: refused(flag, false, say`programs give another reference as ${option('refModel')}`),
  model_adapter_name: subsumed(optionalText, null, 'a model has one adapter that is trained'),
  ref_adapter_name: refused(optionalText, null, say`programs give a second adapter as ${option('refModel')}`),
  label_pad_token_id: subsumed(z.int(), -100, 'nothing is padded'),
  use_logits_to_keep: subsumed(flag, false, 'the head only computes what has a target'),
}

export const retired = {
  overwrite_output_dir: subsumed(
    flag,
    false,
    'an existing output_dir is written into; nothing in it is deleted but old checkpoints under save_total_limit',
  ),
  save_safetensors: subsumed(flag, true, 'weights are always saved as safetensors'),
  include_tokens_per_second: subsumed(flag, false, 'tokens per second are in every log'),
  use_liger: subsumed(flag, false, 'a step is one plan of fused kernels already'),
  use_mps_device: refused(flag, false, say`Apple GPUs are not supported yet; use ${option('device')} cpu`),
  half_precision_backend: subsumed(text, 'auto', 'bf16 is built in'),
  group_by_length: refused(flag, false, 'it saves padding, and saqr does not pad; leave it out'),
  accelerate_config: refused(optionalText, null, 'one process trains on one device; there is nothing to launch'),
  num_processes: refused(z.int(), 1, 'training on several devices is not supported yet; start one process'),
}
