/** The line to copy for a real model, with the time that its plan predicts here. */
import type { Device } from '../../devices/device.ts'
import { seconds } from '../../track/numbers.ts'
import { sft } from '../../train/objectives/sft.ts'
import { resolveObject } from '../../train/options/resolve.ts'
import { sftFields } from '../../train/options/sft.ts'
import { reportPlan } from '../../train/plan-report.ts'

const MODEL = 'HuggingFaceTB/SmolLM2-135M-Instruct'

/** config.json of SmolLM2-135M */
const CONFIG = {
  model_type: 'llama',
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  max_position_embeddings: 8192,
  vocab_size: 49152,
  tie_word_embeddings: true,
}

const STEPS = 60

/** @param rowTokens mean length of the rows that were just trained on */
export function nextStep(rowsFile: string, rowTokens: number, device: Device): string[] {
  const options = { usePeft: true, loraTargetModules: 'all-linear', loraDropout: 0, maxLength: Math.max(16, Math.round(rowTokens)) }
  const { seconds: step } = reportPlan(MODEL, CONFIG, resolveObject(sftFields, options).options, device, sft)
  return [
    `next, a real model (270 MB from the Hub, then about ${seconds(step * STEPS)} here):`,
    `  npx saqr sft --model_name_or_path ${MODEL} --dataset_name ${rowsFile} --use_peft --lora_target_modules all-linear \\`,
    `    --lora_dropout 0 --learning_rate 2e-4 --max_steps ${STEPS} --output_dir smollm2`,
  ]
}
