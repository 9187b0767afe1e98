/** What FastLanguageModel takes, under Unsloth's and PEFT's names in camelCase. */
import type { Device } from './devices/device.ts'
import { option, say } from './error.ts'
import { type AdapterConfig, loraConfig } from './formats/peft/config.ts'
import {
  as,
  beside,
  type Check,
  type Checks,
  either,
  filled,
  flag,
  func,
  idle,
  kind,
  number,
  orNull,
  refused,
  signal,
  text,
  texts,
  Unfit,
  whole,
  word,
} from './hub/arguments.ts'
import type { Need } from './hub/need.ts'
import type { HubProgress } from './hub/places.ts'
import { targetModules } from './train/options/rules.ts'

/** Options of FastLanguageModel.fromPretrained. */
export interface LoadOptions {
  /** tokens that training cuts rows to, unless its maxLength says otherwise; default 2048 */
  maxSeqLength?: number | null
  /** of activations and frozen weights: bfloat16 (default) or float32, also written bf16, f32, torch.bfloat16 … */
  dtype?: 'bfloat16' | 'float32' | 'bf16' | 'f32' | 'torch.bfloat16' | 'torch.float32' | 'auto' | null
  /** frozen weights in 4-bit NF4 (QLoRA); default: as an adapter was trained where its folder says so, else true, as Unsloth has it */
  loadIn4bit?: boolean
  /** frozen weights in `dtype` (LoRA): the same as loadIn4bit false */
  loadIn16bit?: boolean
  /** NF4's scales quantised too; default true with loadIn4bit */
  doubleQuant?: boolean
  /** train all weights; they are then not quantised */
  fullFinetuning?: boolean
  /** seed of an adapter's first values; default 3407 */
  randomState?: number
  /** a Hub branch, tag or commit */
  revision?: string | null
  /** access token of the Hub; default: HF_TOKEN, or that of `hf auth login` */
  token?: string | null
  /** ends opening the model */
  signal?: AbortSignal
  /** what computes: auto (default: the first CUDA card that saqr can use, else the CPU), cpu, cuda, cuda:N, reference, or a device of your own */
  device?: string | Device
  /** token that ends a text, instead of the checkpoint's */
  eosToken?: string | null
  /** Jinja source of the chat template, or the name of one (chatml, gemma-3, llama-3, phi-3), instead of the checkpoint's */
  chatTemplate?: string | null
  /** rows that embedding and head get, as resizeTokenEmbeddings draws them; default: those of the files */
  resizeModelVocab?: number | null
  /** hears of every piece that comes from the Hub; default: a line on standard error where that is a terminal */
  onProgress?: (progress: HubProgress) => void
  /** accepted: the planner keeps or recomputes activations block by block to fit the memory there is */
  useGradientCheckpointing?: 'unsloth' | boolean
  /** accepted: code from a checkpoint is never run */
  trustRemoteCode?: boolean
  /** accepted: a model lies on one device */
  deviceMap?: unknown
  /** accepted: attention is saqr's own */
  attnImplementation?: string | null
}

/** Options that `fromPretrained` knows and does not carry out. */
type Foreign =
  | 'loadIn8bit'
  | 'loadInFp8'
  | 'ropeScaling'
  | 'offloadEmbedding'
  | 'fastInference'
  | 'fixTokenizer'
  | 'gpuMemoryUtilization'
  | 'maxLoraRank'
  | 'useExactModelName'

export type Dtype = 'bf16' | 'f32'

const F16 = 'f16 needs loss scaling, which saqr does not have yet; use bfloat16 or float32'
const names: Record<string, Dtype> = { bfloat16: 'bf16', float32: 'f32', bf16: 'bf16', f32: 'f32', auto: 'bf16' }
const dtypes = { ...names, 'torch.bfloat16': 'bf16', 'torch.float32': 'f32', bfloat: 'bf16', float: 'f32', fp32: 'f32' } as const
const dtype: Check<Dtype> = {
  ...word<Dtype>(dtypes, { float16: F16, f16: F16, fp16: F16, half: F16, 'torch.float16': F16 }),
  what: 'bfloat16 or float32',
}
const NOT_BITS = say`not supported yet; use ${option('loadIn4bit')} or leave it out`
const checkpointing: Check<'unsloth' | boolean> = either(word({ unsloth: 'unsloth' as const }), flag)

/** open devices are told by what they do, as they may come from another copy of the module */
const device: Check<string | Device> = kind('auto, cpu, cuda, cuda:N, reference or an open device', (v) =>
  typeof v === 'string'
    ? /^(auto|cpu|reference|cuda(:\d+)?)$/.test(v)
    : typeof v === 'object' && v !== null && ['store', 'load', 'run', 'describe'].every((name) => typeof (v as never)[name] === 'function'),
)

const FOUR_BITS: Need = {
  met: (o) => !o.fullFinetuning && (o.loadIn4bit === undefined ? !o.loadIn16bit : o.loadIn4bit === true),
  unless: say`without ${option('loadIn4bit')}`,
  otherwise: 'leave it out',
}

export const LOAD: Checks<Omit<LoadOptions, 'dtype'> & { dtype?: Dtype | null; modelName?: string } & Partial<Record<Foreign, undefined>>> =
  {
    modelName: filled,
    maxSeqLength: orNull(whole(1)),
    dtype: orNull(dtype),
    loadIn4bit: flag,
    loadIn16bit: flag,
    doubleQuant: beside(FOUR_BITS, flag, false),
    fullFinetuning: flag,
    randomState: whole(0),
    revision: orNull(filled),
    token: orNull(text),
    signal,
    device,
    eosToken: orNull(filled),
    chatTemplate: orNull(text),
    onProgress: func('a function'),
    useGradientCheckpointing: checkpointing,
    trustRemoteCode: flag,
    deviceMap: idle,
    attnImplementation: idle,
    loadIn8bit: refused(NOT_BITS),
    loadInFp8: refused(NOT_BITS),
    ropeScaling: refused('a model is opened with the positions that its config.json says; change rope_parameters there'),
    resizeModelVocab: orNull(whole(1)),
    offloadEmbedding: refused('memory is the planner’s business: give the trainer a budget (memory)'),
    fastInference: refused('generation has one engine here; leave it out'),
    fixTokenizer: idle,
    gpuMemoryUtilization: idle,
    maxLoraRank: idle,
    useExactModelName: idle,
  }

/** other names of the options of fromPretrained */
export const LOAD_RENAMED = {
  torchDtype: 'dtype',
  modelNameOrPath: 'modelName',
  name: 'modelName',
  maxLength: 'maxSeqLength',
  seed: 'randomState',
} as const

/** Options of getPeftModel: PEFT's LoraConfig in camelCase; what is left out has Unsloth's default. */
export interface PeftOptions {
  /** rank of the adapter; default 16 */
  r?: number
  /** scale of the adapter: loraAlpha / r; default 16 */
  loraAlpha?: number
  /** dropout on the adapter's input, at least 0 and below 1; above 0 rows cannot share their beginnings; default 0 */
  loraDropout?: number
  /** biases of the base that are trained beside the adapter: none (default), all, or lora_only: those of adapted modules */
  bias?: 'none' | 'all' | 'lora_only'
  /** scale by loraAlpha / √r; default false */
  useRslora?: boolean
  /** a bias beside lora_B; not supported yet */
  loraBias?: boolean
  /** modules that get an adapter: ends of their paths, 'all-linear', or one regular expression for the whole path; default: every linear of the blocks */
  targetModules?: string | readonly string[]
  /** tensors that get a low-rank part by themselves, by the end of their names: experts' gate_up_proj and down_proj, a router's gate.weight; default: those that targetModules mean */
  targetParameters?: readonly string[] | null
  /** modules that get none */
  excludeModules?: string | readonly string[] | null
  /** modules that are trained whole and saved with the adapter */
  modulesToSave?: readonly string[] | null
  /** ids of tokens whose rows of the embedding (and of a head that reads it) are trained, the rest staying frozen; or by module: { embed_tokens, lm_head } */
  trainableTokenIndices?: readonly number[] | Readonly<Record<string, readonly number[]>> | null
  /** numbers of the blocks that get an adapter; default: all */
  layersToTransform?: number | readonly number[] | null
  /** name of the list of blocks, where layersToTransform is given */
  layersPattern?: string | readonly string[] | null
  /** other ranks by module */
  rankPattern?: Readonly<Record<string, number>>
  /** other scales by module */
  alphaPattern?: Readonly<Record<string, number>>
  /** where the head reads the embedding: what adapts the one adapts the other */
  ensureWeightTying?: boolean
  /** lora_A drawn (Kaiming), lora_B zero: the only start there is so far */
  initLoraWeights?: true
  /** seed of the adapter's first values; default 3407 */
  randomState?: number
  /** accepted: the planner keeps or recomputes activations block by block to fit the memory there is */
  useGradientCheckpointing?: 'unsloth' | boolean
  /** accepted where it asks for nothing (null or {}) */
  loftqConfig?: null | Record<string, never>
  /** accepted: the task is always CAUSAL_LM */
  taskType?: 'CAUSAL_LM'
  /** accepted: what rows are cut to is fromPretrained's maxSeqLength */
  maxSeqLength?: number | null
}

type ForeignPeft = 'useDora' | 'layerReplication' | 'qatScheme' | 'fanInFanOut' | 'temporaryLocation' | 'modelName'

const indices: Check<number | number[]> = kind('a number of a block or a list of them', (v) =>
  (Array.isArray(v) ? v : [v]).every((n) => Number.isSafeInteger(n) && n >= 0),
)
/** neither a list nor a Map or Set, whose entries are no keys of theirs */
const isPlain = (v: unknown): v is object =>
  typeof v === 'object' && v !== null && [Object.prototype, null].includes(Object.getPrototypeOf(v))
const isIds = (v: unknown) => Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && n >= 0)
const tokens: Check<number[] | Record<string, number[]>> = kind(
  'a list of token ids, or an object from module to such a list',
  (v) => isIds(v) || (isPlain(v) && Object.keys(v).length > 0 && Object.values(v).every(isIds)),
)
const modules: Check<string | string[]> = either(filled, texts)
const patternOf = (holds: (n: unknown) => boolean, what: string): Check<Record<string, number>> =>
  kind(`an object from module to ${what}`, (v) => isPlain(v) && Object.values(v).every(holds))
const isEmpty = (v: unknown) => isPlain(v) && Object.keys(v).length === 0

const LAYERS: Need = {
  met: (o) => o.layersToTransform != null,
  unless: say`without ${option('layersToTransform')}`,
  otherwise: 'an adapter would be in every block; give it, or leave the other out',
}

export const PEFT: Checks<PeftOptions & Partial<Record<ForeignPeft, undefined>>> = {
  r: whole(1),
  loraAlpha: number('a number other than 0, with which the adapter would be nothing', (n) => n !== 0),
  loraDropout: number('a number of at least 0 and below 1', (n) => n >= 0 && n < 1),
  bias: word({ none: 'none', all: 'all', lora_only: 'lora_only' }),
  useRslora: flag,
  loraBias: flag,
  targetModules: as(modules, (given) => targetModules(given) as string | string[]),
  targetParameters: orNull(texts),
  excludeModules: orNull(modules),
  modulesToSave: orNull(texts),
  trainableTokenIndices: orNull(tokens),
  layersToTransform: orNull(indices),
  layersPattern: beside(LAYERS, orNull(modules), null),
  rankPattern: patternOf((n) => Number.isSafeInteger(n) && (n as number) > 0, 'rank'),
  alphaPattern: patternOf((n) => typeof n === 'number' && Number.isFinite(n), 'scale'),
  ensureWeightTying: flag,
  initLoraWeights: {
    what: 'true',
    take: (v) => (v === true ? true : new Unfit('other initialisations are not supported yet; leave it out')),
  },
  randomState: whole(0),
  useGradientCheckpointing: checkpointing,
  loftqConfig: {
    what: 'null',
    take: (v) => (v === null || isEmpty(v) ? undefined : new Unfit('LoftQ is not supported yet: the base is quantised as it is')),
  },
  taskType: word({ CAUSAL_LM: 'CAUSAL_LM' }),
  maxSeqLength: idle,
  useDora: refused(say`DoRA is not supported yet; use plain LoRA or ${option('useRslora')}`),
  layerReplication: refused('blocks are not repeated here'),
  qatScheme: refused('quantisation-aware training is not supported yet'),
  fanInFanOut: refused('no family here keeps its weights transposed'),
  temporaryLocation: idle,
  modelName: idle,
}

/** Unsloth's defaults; the modules are the family's linears. */
export const LORA: AdapterConfig = loraConfig({ r: 16, loraAlpha: 16, targetModules: [] })
