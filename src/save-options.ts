/** What is handed to the functions that save a model: its types for programs, and how each value is looked at. */
import { QUANTIZATIONS, type Quantization } from './formats/gguf/mixture.ts'
import { type Check, type Checks, flag, idle, instance, refused, signal, texts, Unfit, unfit, word } from './hub/arguments.ts'
import { nearest } from './hub/nearest.ts'
import { Tokenizer } from './text/tokenizer.ts'
import { sizeInBytes } from './train/options/schemas.ts'

/** Options of savePretrainedMerged. */
export interface SaveMergedOptions {
  /** merged_16bit (default): base and adapter as one checkpoint; lora: the adapter alone, as savePretrained writes it */
  saveMethod?: 'merged_16bit' | 'lora'
  /** bytes of one file of weights at most, `'5GB'` (10⁹ each), `'512MiB'` or a number; default 5GB */
  maxShardSize?: string | number
  /**
   * Is the folder opened again and asked what comes next, beside the trained model? Default true: on the CPU, with as much memory as the model
   * has weights in what it computes in
   */
  check?: boolean
  /** texts that both are asked; default: the rows the model was trained on, else a few texts of saqr's */
  checkTexts?: string[]
  /** what was written and how near it is: on standard error, or nowhere; default: terminal where there is one. The returned value says the same */
  report?: 'terminal' | 'none'
  /** heard between parts of a tensor; what lay in the folder before stays */
  signal?: AbortSignal
}

/** Options of savePretrainedGguf. */
export interface SaveGgufOptions {
  /** what the weights are written in, one file for each; default q8_0, of an adapter alone f32 */
  quantizationMethod?: Quantization | readonly Quantization[]
  /** the adapter alone, which llama.cpp lays over a GGUF file of the base (`--lora`), in f32, f16, bf16 or q8_0; default false: merged */
  adapterOnly?: boolean
  /**
   * Is each file opened again and asked what comes next, beside the trained model? Default true: on the CPU, with as much memory as the model
   * has weights in what it computes in
   */
  check?: boolean
  /** texts that both are asked; default: the rows the model was trained on, else a few texts of saqr's */
  checkTexts?: string[]
  /** what was written and how near it is: on standard error, or nowhere; default: terminal where there is one. The returned list says the same */
  report?: 'terminal' | 'none'
  /** bytes of one file at most, `'2GB'` (10⁹ each) or a number: a larger model lies in several, NAME-00001-of-00003.gguf and so on; default: one file */
  splitMaxSize?: string | number
  /** heard between parts of a tensor; nothing is left behind */
  signal?: AbortSignal
}

/** Options of savePretrained. */
export interface SaveOptions {
  /** experts' low-rank parts by each expert's linears (mlp.experts.3.gate_proj), as vLLM and SGLang read them; default: as PEFT has them now */
  unfuseExperts?: boolean
  /** names of the adapters that are saved; default: all that are loaded */
  selectedAdapters?: readonly string[]
}

const SAVE: Checks<{ safeSerialization: undefined; maxShardSize: undefined; pushToHub: undefined; token: undefined }> = {
  safeSerialization: refused('weights are always saved as safetensors; leave it out', true),
  maxShardSize: idle,
  pushToHub: refused('this call writes to disk; model.pushToHub(repo) uploads, as does pushToHub(folder, repo) what was saved'),
  token: idle,
}
const quantization = word<Quantization>({
  ...(Object.fromEntries(Object.keys(QUANTIZATIONS).map((name) => [name, name])) as Record<Quantization, Quantization>),
  ...{ fast_quantized: 'q8_0', quantized: 'q4_k_m', not_quantized: 'bf16', q4_k: 'q4_k_m', q5_k: 'q5_k_m' }, // Unsloth's words, the last two llama.cpp's too
})
const quantizations: Check<Quantization[]> = {
  what: `${quantization.what}, or a list of them`,
  take(v) {
    const list = (Array.isArray(v) ? v : [v]).map((one) => quantization.take(one))
    if (list.length === 0) return unfit
    const wrong = list.findIndex((one) => one instanceof Unfit)
    if (wrong < 0) return [...new Set(list as Quantization[])]
    const given = Array.isArray(v) ? v[wrong] : v
    const close = typeof given === 'string' ? nearest(given.toLowerCase(), Object.keys(QUANTIZATIONS)) : undefined
    return close ? new Unfit(`${given} is no type that is written; did you mean ${close}?`) : unfit
  },
}
const checkTexts: Check<string[]> = {
  ...texts,
  what: 'a list of texts, one at least',
  take: (v) => (Array.isArray(v) && v.length === 0 ? unfit : texts.take(v)),
}
const asking = { check: flag, checkTexts, report: word({ terminal: 'terminal', none: 'none' } as const), signal }
const shardSize: Check<number> = {
  what: 'a size such as 5GB (10⁹ bytes each), 512MiB (2²⁰) or a number of bytes',
  take: (v) => ((typeof v === 'string' || typeof v === 'number') && sizeInBytes(v)) || unfit,
}
export const GGUF: Checks<
  Omit<SaveGgufOptions, 'quantizationMethod' | 'splitMaxSize'> & {
    quantizationMethod: Quantization[]
    splitMaxSize: number
    maximumMemoryUsage: undefined
  }
> = {
  quantizationMethod: quantizations,
  adapterOnly: flag,
  splitMaxSize: shardSize,
  ...asking,
  maximumMemoryUsage: idle,
}
export const ADAPTER: Checks<SaveOptions & { safeSerialization: undefined }> = { ...SAVE, unfuseExperts: flag, selectedAdapters: texts }
export const MERGED: Checks<
  Omit<SaveMergedOptions, 'maxShardSize'> & { maxShardSize: number; maximumMemoryUsage: undefined; tokenizer: undefined }
> = {
  ...SAVE,
  saveMethod: word(
    { merged_16bit: 'merged_16bit', lora: 'lora' },
    {
      merged_4bit: 'a merged model is written in its own dtype; use merged_16bit, and loadIn4bit when it is opened',
      merged_4bit_forced: 'a merged model is written in its own dtype; use merged_16bit, and loadIn4bit when it is opened',
    },
  ),
  ...asking,
  maxShardSize: shardSize,
  maximumMemoryUsage: idle,
  tokenizer: instance(Tokenizer, 'a tokenizer') as never,
}
