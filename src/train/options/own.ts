/** What only saqr has. */

import { z } from 'zod'
import { beside, honoured } from './field.ts'
import { ADAPTER, EVALUATION, LORAPLUS, PATIENCE, TENSORBOARD } from './needs.ts'
import { described, flag, optionalCount, optionalName, size } from './schemas.ts'

export const own = {
  device: honoured(
    described(z.string(), 'auto, cpu, cuda, cuda:N or reference', (name) => /^(auto|cpu|reference|cuda(:\d+)?)$/.test(name)),
    'auto',
    'auto, cpu, cuda, cuda:N, or reference (f64, slow, the definition of every op)',
  ),
  threads: honoured(
    z.int().min(1).max(1024).nullable(),
    null,
    'threads of the CPU; default: as many as processors that the process may use (affinity, quota of its control group)',
  ),
  memory: honoured(
    size.nullable(),
    null,
    'budget for everything on the device, such as 8GB or 512MiB; default: what is free (plan: whatever it takes)',
  ),
  max_pass_tokens: honoured(z.int().min(1).nullable(), null, 'tokens of a pass at the most; default: what fits'),
  prefix_sharing: honoured(flag, true, 'rows of a step that begin alike share those tokens (never with dropout or noise)'),
  cache_rows: honoured(
    flag,
    true,
    'prepared rows are kept in HF_HOME (saqr/rows), so that the next run on the same ones starts at once; never those of formattingFunc, nor of rows that are streamed',
  ),
  train_bias: beside(
    ADAPTER,
    honoured(z.enum(['none', 'all', 'lora_only']), 'none', 'biases of the base that are trained beside the adapter (PEFT’s bias)'),
  ),
  unfuse_experts: beside(
    ADAPTER,
    honoured(
      flag,
      false,
      'the trained adapter has a low-rank part for each expert’s linears (mlp.experts.3.gate_proj), as vLLM and SGLang read it; default: as PEFT has it now',
    ),
  ),
  eval_dataset_name: beside(
    EVALUATION,
    honoured(optionalName, null, 'rows to evaluate on, named like dataset_name; default: its dataset_test_split'),
  ),
  eval_prompts: beside(
    EVALUATION,
    honoured(
      optionalName,
      null,
      'file of prompts that the model answers greedily at each evaluation (up to 256 tokens): a text a line, or .json/.jsonl rows with text, prompt or messages; their keys and values lie beside the budget of memory',
    ),
  ),
  logging_dir: beside(
    TENSORBOARD,
    honoured(
      optionalName,
      null,
      'folder of TensorBoard’s event files; default: TENSORBOARD_LOGGING_DIR, else one a run in output_dir/runs',
    ),
  ),
  loraplus_lr_ratio: honoured(
    z.number().positive().nullable(),
    null,
    'LoRA+: the learning rate of lora_B, biases and norms, in times that of the rest; default: the same for all',
  ),
  loraplus_lr_embedding: beside(
    LORAPLUS,
    honoured(z.number().min(0), 1e-6, 'learning rate of low-rank parts on embeddings where loraplus_lr_ratio is given'),
  ),
  embedding_learning_rate: honoured(
    z.number().min(0).nullable(),
    null,
    'learning rate of embeddings and head where they are trained whole (Unsloth’s); default: learning_rate',
  ),
  early_stopping_patience: honoured(
    optionalCount,
    null,
    'end the run after so many evaluations that are no better than the best before them (EarlyStoppingCallback’s); default: never',
  ),
  early_stopping_threshold: beside(
    PATIENCE,
    honoured(z.number().min(0), 0, 'by how much an evaluation has to be better than the best before it to count as better'),
  ),
}
