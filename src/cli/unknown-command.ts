/** A command that is not there: what was meant, also by the names that other tools have. */
import { SaqrError } from '../error.ts'
import { nearest } from '../hub/nearest.ts'

const REWARDS = 'training on rewards is not there yet; saqr sft trains on rows with answers'
const MERGED = 'saqr export --merged writes base and adapter as one model'
const SERVER = 'saqr serve answers over HTTP as OpenAI’s API does'
const ELSEWHERE: Readonly<Record<string, string>> = {
  train: 'saqr sft trains a model on your rows',
  finetune: 'saqr sft trains a model on your rows',
  'fine-tune': 'saqr sft trains a model on your rows',
  lora: 'saqr sft --use_peft trains a LoRA adapter',
  qlora: 'saqr sft --use_peft --load_in_4bit trains an adapter over a 4-bit base',
  pretrain: 'saqr sft on rows of text goes on with pre-training',
  pt: 'saqr sft on rows of text goes on with pre-training',
  simpo: 'saqr cpo --loss_type simpo --cpo_alpha 0 is SimPO',
  grpo: REWARDS,
  ppo: REWARDS,
  rloo: REWARDS,
  reward: REWARDS,
  rm: REWARDS,
  inference: 'saqr generate asks a model',
  infer: 'saqr generate asks a model',
  predict: 'saqr generate asks a model',
  run: 'saqr generate asks a model',
  merge: MERGED,
  'merge-lora': MERGED,
  gguf: 'saqr export --gguf q4_k_m writes GGUF files',
  convert: 'saqr export writes a model in other forms',
  quantize: 'saqr export --gguf q4_k_m writes GGUF files',
  eval: 'saqr sft --eval_strategy scores rows while it trains',
  evaluate: 'saqr sft --eval_strategy scores rows while it trains',
  vllm: SERVER,
  'vllm-serve': SERVER,
  server: SERVER,
  api: SERVER,
  studio: 'there is no web interface yet; saqr quickstart shows a whole run',
  webui: 'there is no web interface yet; saqr quickstart shows a whole run',
  dataset: 'saqr data shows rows as they would be trained on',
  preview: 'saqr data shows rows as they would be trained on',
  inspect: 'saqr data shows rows as they would be trained on',
  env: 'saqr doctor shows what this machine has',
  check: 'saqr doctor shows what this machine has',
  download: 'saqr sft and saqr generate fetch what they need',
  init: 'saqr sft --help lists the options; --config reads them from a YAML file',
}

/** @param verbs names of those that there are */
export function unknownCommand(name: string, verbs: readonly string[]): SaqrError {
  const said = name.toLowerCase()
  if (Object.hasOwn(ELSEWHERE, said)) return new SaqrError('OPTION_UNKNOWN', `there is no command ${name}: ${ELSEWHERE[said]}`)
  if (name.startsWith('-'))
    return new SaqrError('OPTION_UNKNOWN', `a command comes first (${verbs.join(', ')}), then its options: saqr sft ${name} …`)
  const close = nearest(name, verbs)
  return new SaqrError('OPTION_UNKNOWN', `unknown command ${name}; ${close ? `did you mean saqr ${close}?` : 'saqr --help lists them'}`)
}
