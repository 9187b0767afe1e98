/** Reads a LoRA adapter folder of PEFT: adapter_config.json and adapter_model.safetensors, under the base model's names. */
import { join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { denseTensor, type StoredTensor } from '../dense.ts'
import { isFile } from '../files.ts'
import { readSafetensors } from '../safetensors/read.ts'
import type { CheckpointTensor } from '../tensor.ts'
import { type AdapterConfig, readAdapterConfig } from './config.ts'
import { rankOf } from './scale.ts'

/** The low-rank part of one module. */
export interface LoraTensors {
  /** of an embedding: A is (r, vocabulary) and B (channels, r), kept as lora_embedding_A and _B */
  embedding: boolean
  /** (r, in) */
  a: CheckpointTensor
  /** (out, r) */
  b: CheckpointTensor
  /** (1, out): lora_bias */
  bias?: CheckpointTensor
}

export interface Adapter {
  config: AdapterConfig
  /** by module path in the base model: `model.layers.0.self_attn.q_proj` */
  modules: Map<string, LoraTensors>
  /** modules_to_save, biases, and embeddings saved along though nothing adapts them, by the base model's tensor name */
  saved: Map<string, CheckpointTensor>
  /** base weights stored along (of an adapted embedding or head, which may have been resized), by the base model's tensor name */
  base: Map<string, CheckpointTensor>
  /** trainable_token_indices: the rows that take the place of the base's, by module path */
  tokens: Map<string, CheckpointTensor>
  /** everything, by its name in the file less PEFT's prefix */
  stored: Map<string, StoredTensor>
}

export const ADAPTER_FILE = 'adapter_model.safetensors'

/** What PEFT puts before every module path. */
export const PEFT_PREFIX = 'base_model.model.'

/** What stands behind a module's path, and where it goes. */
const PARTS: Readonly<Record<string, 'lora' | 'base' | 'bias' | 'tokens' | 'copy'>> = {
  'lora_A.weight': 'lora',
  'lora_B.weight': 'lora',
  'lora_B.bias': 'lora',
  lora_embedding_A: 'lora',
  lora_embedding_B: 'lora',
  'base_layer.weight': 'base',
  'base_layer.bias': 'bias',
  'original_module.weight': 'base',
  'token_adapter.base_layer.weight': 'base',
  'token_adapter.trainable_tokens_delta': 'tokens',
  // of `weight` beside it, written where embeddings are saved along; PEFT doesn't read it
  'modules_to_save.weight': 'copy',
}
const endings = new RegExp(`^(.+?)\\.(${Object.keys(PARTS).join('|').replaceAll('.', '\\.')})$`)
const unsupportedParts = /\.(lora_magnitude_vector|lora_[A-Za-z_]+)(\.|$)/

/** Errors: FORMAT_ADAPTER and those of `readSafetensors`. */
export function readAdapter(folder: string): Adapter {
  const config = readAdapterConfig(folder)
  const path = join(folder, ADAPTER_FILE)
  if (!isFile(path))
    throw bad(
      folder,
      isFile(join(folder, 'adapter_model.bin'))
        ? 'keeps its weights in adapter_model.bin, a pickle; save it with PEFT as safetensors'
        : 'has no adapter_model.safetensors',
    )
  const copies = new Map<string, CheckpointTensor>()
  const lora = new Map<string, Partial<Record<string, CheckpointTensor>>>()
  const adapter: Adapter = { config, modules: new Map(), saved: new Map(), base: new Map(), tokens: new Map(), stored: new Map() }
  for (const [key, { dtype, ...entry }] of readSafetensors(path).tensors) {
    if (!key.startsWith(PEFT_PREFIX)) throw bad(path, `has the tensor ${key}, whose name does not start with ${PEFT_PREFIX}`)
    const name = key.slice(PEFT_PREFIX.length)
    const [, module = '', part = ''] = endings.exec(name) ?? []
    const place = PARTS[part]
    const ours = place && place !== 'lora' && place !== 'tokens' ? `${module}.${part.split('.').at(-1)}` : name
    const stored: StoredTensor = { ...entry, name: ours, storage: dtype, path }
    const tensor = denseTensor(stored)
    checkTensor(path, key, tensor)
    adapter.stored.set(name, stored)
    if (place === 'lora') lora.set(module, { ...lora.get(module), [part]: tensor })
    else if (place === 'base') adapter.base.set(ours, tensor)
    else if (place === 'tokens') adapter.tokens.set(module, tensor)
    else if (place === 'copy') copies.set(ours, tensor)
    else if (unsupportedParts.test(name))
      throw bad(path, `has ${key}, which belongs to ${name.includes('magnitude') ? 'DoRA' : 'an adapter of a kind'} that is not supported`)
    else adapter.saved.set(ours, tensor)
  }
  for (const [name, tensor] of copies) if (!adapter.saved.has(name)) adapter.saved.set(name, tensor)
  if (adapter.stored.size === 0) throw bad(path, 'holds no adapter tensor')
  for (const [module, found] of lora) adapter.modules.set(module, pair(module, found, config, path))
  return { ...adapter, config: { ...config, inFile: [...lora.keys()] } }
}

function checkTensor(path: string, key: string, { dtype, storage, rows, cols }: CheckpointTensor): void {
  if (rows * cols === 0)
    throw bad(
      path,
      `has ${key} without a value in it: weights sharded by DeepSpeed ZeRO-3 or FSDP were saved without being gathered. Save it again from the run that trained it (ZeRO-3: stage3_gather_16bit_weights_on_model_save, or zero_to_fp32.py over its checkpoint)`,
    )
  if (dtype !== 'f32' && dtype !== 'bf16' && dtype !== 'f16') throw bad(path, `has ${key} as ${storage}; F32, BF16 and F16 are supported`)
}

function pair(module: string, parts: Partial<Record<string, CheckpointTensor>>, config: AdapterConfig, path: string): LoraTensors {
  const embedding = 'lora_embedding_A' in parts || 'lora_embedding_B' in parts
  const a = parts[embedding ? 'lora_embedding_A' : 'lora_A.weight']
  const b = parts[embedding ? 'lora_embedding_B' : 'lora_B.weight']
  if (!a || !b) throw bad(path, `has only one of lora_A and lora_B of ${module}`)
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw bad(
      path,
      `has lora_A or lora_B of ${module} that is no matrix: weights sharded by DeepSpeed ZeRO-3 or FSDP, saved without being gathered?`,
    )
  const bias = parts['lora_B.bias']
  if (bias && bias.cols !== b.rows)
    throw bad(path, `has a lora_B.bias of ${bias.cols} values for ${module}, whose lora_B has ${b.rows} rows`)
  // which tensor of the model target_parameters mean by a module, and so its rank, is known with the model
  const r = config.targetParameters?.length ? b.cols : rankOf(config, module)
  if (a.rows !== r || b.cols !== r) {
    throw bad(
      path,
      `has lora_A (${a.shape.join(', ')}) and lora_B (${b.shape.join(', ')}) of ${module} where adapter_config.json says rank ${r}`,
    )
  }
  return { embedding, a, b, bias }
}

function bad(path: string, what: string): SaqrError {
  return new SaqrError('FORMAT_ADAPTER', `The adapter ${path} ${what}.`)
}
