/**
 * adapter_config.json as PEFT 0.21 writes it. What is read is checked field by field: an option that changes what an adapter
 * computes and that we don't have is refused by name, also one that PEFT adds in a later version.
 */
import { join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { writeFileAtomic } from '../files.ts'
import { Float, isObject, type JsonObject, readJsonObject, show, stringifyJson } from '../json.ts'

/** What a LoRA adapter is, in PEFT's terms. */
export interface AdapterConfig {
  baseModelNameOrPath: string | null
  revision: string | null
  r: number
  loraAlpha: number
  loraDropout: number
  bias: 'none' | 'all' | 'lora_only'
  useRslora: boolean
  loraBias: boolean
  /** names (the end of a module path) or one regular expression for the whole path */
  targetModules: string[] | string
  /** tensors of the model, by the end of their names, that get a low-rank part without being a linear's: experts, a router's weight */
  targetParameters: string[] | null
  excludeModules: string[] | string | null
  modulesToSave: string[] | null
  layersToTransform: number[] | number | null
  layersPattern: string[] | string | null
  /** tokens whose rows of the embedding are replaced, or by the name of a module that has such rows */
  trainableTokenIndices: number[] | Record<string, number[]> | null
  /** over a base whose head reads the embedding: what adapts the one adapts the other */
  ensureWeightTying: boolean
  rankPattern: Record<string, number>
  alphaPattern: Record<string, number>
  initLoraWeights: boolean | string
  taskType: 'CAUSAL_LM' | null
  /** class and module of the base model in transformers, where PEFT noted them */
  autoMapping: JsonObject | null
  inferenceMode: boolean
  /** not PEFT's: where dropout is on and targets named each expert's linears, what they were; such linears drop their inputs, tensors of all experts can't */
  single?: SingleExperts
  /** not PEFT's: paths of modules that its file has a low-rank part of, until it is known over a model what it means */
  inFile?: readonly string[]
}

/** Of an adapter whose targets name the linears of single experts. */
export interface SingleExperts {
  /** as it was given, less where its base lies: files have that */
  given: AdapterConfig
  /** the tensors that all of a layer's lie in */
  tensors: readonly string[]
}

/** LoraConfig's own defaults (PEFT 0.21) behind what is given. */
export function loraConfig(given: Partial<AdapterConfig> & Pick<AdapterConfig, 'targetModules'>): AdapterConfig {
  return {
    baseModelNameOrPath: null,
    revision: null,
    r: 8,
    loraAlpha: 8,
    loraDropout: 0,
    bias: 'none',
    useRslora: false,
    loraBias: false,
    targetParameters: null,
    excludeModules: null,
    modulesToSave: null,
    layersToTransform: null,
    layersPattern: null,
    trainableTokenIndices: null,
    ensureWeightTying: false,
    rankPattern: {},
    alphaPattern: {},
    initLoraWeights: true,
    taskType: 'CAUSAL_LM',
    autoMapping: null,
    inferenceMode: false,
    ...given,
  }
}

export const peftVersion = '0.21.2'

/** Every further field of LoraConfig, at the value that means "not used": written so, and refused when read otherwise. */
const unused: JsonObject = {
  alora_invocation_tokens: null, arrow_config: null, corda_config: null, eva_config: null, fan_in_fan_out: false,
  kasa_config: null, layer_replication: null, loftq_config: {}, lora_ga_config: null, megatron_config: null, monteclora_config: null,
  use_bdlora: null, use_dora: false, use_qalora: false, velora_config: null,
} // biome-ignore format: a table

/** Fields that say nothing unless one of the above is on. */
const idle: JsonObject = { megatron_core: 'megatron.core', qalora_group_size: 16 }

/** How lora_A and lora_B started; the others also change the base's weights, which the adapter alone does not show. */
const harmlessInits: unknown[] = [true, false, 'gaussian', 'orthogonal', 'eva']

/** Reads the adapter_config.json in `folder`. Errors: FORMAT_ADAPTER (what, and what to do). */
export function readAdapterConfig(folder: string): AdapterConfig {
  const path = join(folder, 'adapter_config.json')
  const raw = readJsonObject(path)
  const type = raw.peft_type
  if (type !== 'LORA') throw refuse(path, 'peft_type', type, 'only LORA adapters are supported')
  for (const [key, value] of Object.entries(raw)) {
    if (known.has(key) || key in idle || isUnused(key, value)) continue
    throw refuse(path, key, value, 'this option is not supported')
  }
  const field = <T>(key: string, fits: (value: unknown) => value is T, what: string, byDefault?: T): T => {
    const value = key in raw ? raw[key] : byDefault
    if (!fits(value)) throw refuse(path, key, value, `it must be ${what}`)
    return value
  }
  const bias = field('bias', isString, 'none, all or lora_only', 'none')
  if (bias !== 'none' && bias !== 'all' && bias !== 'lora_only') throw refuse(path, 'bias', bias, 'it must be none, all or lora_only')
  const taskType = raw.task_type ?? null
  if (taskType !== null && taskType !== 'CAUSAL_LM') throw refuse(path, 'task_type', taskType, 'only CAUSAL_LM is supported')
  const init = raw.init_lora_weights ?? true
  if (!harmlessInits.includes(init)) {
    throw refuse(
      path,
      'init_lora_weights',
      init,
      'it changed the base weights; convert the adapter with path_initial_model_for_weight_conversion in PEFT',
    )
  }
  return {
    baseModelNameOrPath: field('base_model_name_or_path', orNull(isString), 'a name or null', null),
    revision: field('revision', orNull(isString), 'a name or null', null),
    r: field('r', isCount, 'a whole number above 0', 8),
    loraAlpha: field('lora_alpha', isNumber, 'a number', 8),
    loraDropout: field('lora_dropout', isShare, 'a number of at least 0 and below 1', 0),
    bias,
    useRslora: field('use_rslora', isBoolean, 'true or false', false),
    loraBias: field('lora_bias', isBoolean, 'true or false', false),
    targetModules: field('target_modules', isNames, 'names or a regular expression'),
    targetParameters: field('target_parameters', orNull(isStrings), 'names or null', null),
    excludeModules: field('exclude_modules', orNull(isNames), 'names, a regular expression or null', null),
    modulesToSave: field('modules_to_save', orNull(isStrings), 'names or null', null),
    layersToTransform: field('layers_to_transform', orNull(isLayers), 'layer numbers or null', null),
    layersPattern: field('layers_pattern', orNull(isNames), 'names or null', null),
    trainableTokenIndices: field('trainable_token_indices', orNull(isTokens), 'token ids, or token ids by module, or null', null),
    ensureWeightTying: field('ensure_weight_tying', isBoolean, 'true or false', false),
    rankPattern: field('rank_pattern', isMapOf(isCount), 'a map of ranks', {}),
    alphaPattern: field('alpha_pattern', isMapOf(isNumber), 'a map of numbers', {}),
    initLoraWeights: init as boolean | string,
    taskType,
    autoMapping: field('auto_mapping', orNull(isObject), 'an object or null', null),
    inferenceMode: field('inference_mode', isBoolean, 'true or false', false),
  }
}

/** The text PEFT's save_pretrained writes: indent 2, sorted keys, no newline at the end. */
export function adapterConfigText(config: AdapterConfig): string {
  const fields: JsonObject = {
    ...unused, ...idle,
    alpha_pattern: config.alphaPattern, auto_mapping: config.autoMapping, base_model_name_or_path: config.baseModelNameOrPath, bias: config.bias,
    ensure_weight_tying: config.ensureWeightTying, trainable_token_indices: config.trainableTokenIndices,
    exclude_modules: config.excludeModules, inference_mode: config.inferenceMode, init_lora_weights: config.initLoraWeights,
    layers_pattern: config.layersPattern, layers_to_transform: config.layersToTransform, lora_alpha: config.loraAlpha, lora_bias: config.loraBias,
    lora_dropout: new Float(config.loraDropout), modules_to_save: config.modulesToSave, peft_type: 'LORA', peft_version: peftVersion, r: config.r,
    rank_pattern: config.rankPattern, revision: config.revision, target_modules: config.targetModules, target_parameters: config.targetParameters, task_type: config.taskType,
    use_rslora: config.useRslora,
  } // biome-ignore format: a table
  return stringifyJson(fields, { indent: 2, sortKeys: true })
}

export function writeAdapterConfig(folder: string, config: AdapterConfig): void {
  writeFileAtomic(join(folder, 'adapter_config.json'), adapterConfigText(config))
}

const known = new Set(
  (
    'alpha_pattern auto_mapping base_model_name_or_path bias ensure_weight_tying exclude_modules inference_mode init_lora_weights ' +
    'layers_pattern layers_to_transform lora_alpha lora_bias lora_dropout modules_to_save peft_type peft_version r rank_pattern revision ' +
    'runtime_config target_modules target_parameters task_type trainable_token_indices use_rslora'
  ).split(' '),
)

/** Null, false, nothing in it: an option that is off, also where PEFT's default is written differently. */
function isUnused(key: string, value: unknown): boolean {
  if (value === null || value === false) return true
  if (typeof value === 'object') return Object.keys(value as object).length === 0
  return key in unused && value === unused[key]
}

const isString = (v: unknown): v is string => typeof v === 'string'
const isBoolean = (v: unknown): v is boolean => typeof v === 'boolean'
const isNumber = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v)
const isShare = (v: unknown): v is number => isNumber(v) && v >= 0 && v < 1
const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) > 0
const isStrings = (v: unknown): v is string[] => Array.isArray(v) && v.every(isString)
const isNames = (v: unknown): v is string[] | string => isString(v) || isStrings(v)
const isLayers = (v: unknown): v is number[] | number => (Array.isArray(v) ? v : [v]).every((n) => Number.isSafeInteger(n) && n >= 0)
const isIds = (v: unknown): v is number[] => Array.isArray(v) && v.every((n) => Number.isSafeInteger(n) && n >= 0)
const isTokens = (v: unknown): v is number[] | Record<string, number[]> => isIds(v) || (isObject(v) && Object.values(v).every(isIds))
const isMapOf =
  <T>(fits: (v: unknown) => v is T) =>
  (v: unknown): v is Record<string, T> =>
    isObject(v) && Object.values(v).every(fits)
const orNull =
  <T>(fits: (v: unknown) => v is T) =>
  (v: unknown): v is T | null =>
    v === null || fits(v)

function refuse(path: string, key: string, value: unknown, why: string): SaqrError {
  return new SaqrError('FORMAT_ADAPTER', `${path}: ${key} is ${show(value)}; ${why}.`)
}
