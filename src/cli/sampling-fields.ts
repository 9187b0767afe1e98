/** Options of the verbs that ask a model: which it is, and how tokens are chosen. */
import { z } from 'zod'
import { option, say } from '../error.ts'
import type { Need } from '../hub/need.ts'
import { beside, honoured } from '../train/options/field.ts'
import { model, modelLoading } from '../train/options/model.ts'
import { own } from '../train/options/own.ts'
import { precision } from '../train/options/precision.ts'
import { quantization } from '../train/options/quantization.ts'
import { rows } from '../train/options/rows.ts'
import { count, described, flag, optionalTexts } from '../train/options/schemas.ts'

/** sft's options where they say what a model is; how they are told is another matter here */
export const modelFields = {
  model_name_or_path: { ...model.model_name_or_path, help: 'Hub id, folder, .gguf file, or a folder with a PEFT adapter' },
  model_revision: model.model_revision,
  dtype: honoured(
    z.enum(['auto', 'bfloat16', 'float32']).nullable(),
    null,
    say`what the model is opened and computed in: bfloat16, float32, or as the checkpoint is stored (auto); default: bfloat16, float32 with ${option('bf16')} false`,
    { float16: say`saqr computes in bf16 or f32; leave it out, or use ${option('dtype')} float32` },
  ),
  bf16: {
    ...precision.bf16,
    help: say`true is ${option('dtype')} bfloat16, false float32 where ${option('dtype')} says nothing`,
  },
  load_in_4bit: { ...quantization.load_in_4bit, help: 'hold the weights in 4-bit NF4' },
  use_bnb_nested_quant: quantization.use_bnb_nested_quant,
  eos_token: { ...rows.eos_token, help: 'token at which the answer ends; default: the tokenizer’s' },
  chat_template_path: modelLoading.chat_template_path,
  adapter: honoured(flag, true, 'false (--no_adapter): the base answers, as it is without the adapter'),
  device: own.device,
  threads: own.threads,
  use_cpu: { ...precision.use_cpu, help: say`compute on the CPU whatever else there is (${option('device')} cpu)` },
}

const DRAWN: Need = { met: (o) => o.temperature !== 0, unless: say`without ${option('temperature')}` }
const LOGGED: Need = { met: (o) => o.logprobs === true, unless: say`without ${option('logprobs')}` }
const penalty = z.number().min(-2).max(2)

export const samplingFields = {
  max_new_tokens: honoured(count, 256, 'tokens at the most'),
  temperature: honoured(z.number().min(0), 0, '0: always the likeliest token; else tokens are drawn at this temperature'),
  top_k: beside(DRAWN, honoured(z.int().min(0), 0, 'draw from this many likeliest tokens; 0: all')),
  top_p: beside(DRAWN, honoured(z.number().min(0).max(1), 1, 'draw from the likeliest tokens that hold this probability together')),
  min_p: beside(
    DRAWN,
    honoured(z.number().min(0).max(1), 0, 'leave out tokens less likely than this share of the likeliest one’s probability; 0: none'),
  ),
  repetition_penalty: honoured(z.number().positive(), 1, 'above 1: tokens of prompt and answer become less likely (transformers’)'),
  presence_penalty: honoured(penalty, 0, 'taken off the logit of a token that the answer holds, from -2 to 2 (OpenAI’s)'),
  frequency_penalty: honoured(penalty, 0, 'the same for each time that it holds it'),
  stop_strings: honoured(
    described(optionalTexts, 'texts that are not empty', (v) => v === null || v.every((one) => one !== '')),
    null,
    'texts before which the answer ends; a prompt of plain words stands before this option',
  ),
  seed: beside(DRAWN, honoured(z.int().min(0), 0, 'of the draws; the same seed draws the same text')),
}

export const logprobFields = {
  logprobs: honoured(
    flag,
    false,
    'print a line of JSON for each token: its text, id and logprob, as the model had it before any penalty or temperature',
  ),
  top_logprobs: beside(LOGGED, honoured(z.int().min(0), 0, 'and so many of the likeliest tokens in its place')),
}
