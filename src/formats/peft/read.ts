/** Reads a LoRA adapter folder of PEFT: adapter_config.json and adapter_model.safetensors, under the base model's names. */
import { join } from 'node:path'
import { SaqrError } from '../../error.ts'
import { denseTensor } from '../dense.ts'
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
  /** trained as a whole, by the base model's tensor name: modules_to_save and biases */
  saved: Map<string, CheckpointTensor>
  /** base weights stored along (an adapted embedding or head, which may have been resized), by the base model's tensor name */
  base: Map<string, CheckpointTensor>
}

const prefix = 'base_model.model.'
const endings = /^(.+)\.(lora_A\.weight|lora_B\.weight|lora_B\.bias|lora_embedding_A|lora_embedding_B|base_layer\.weight|base_layer\.bias)$/
const unsupportedParts = /\.(lora_magnitude_vector|lora_[A-Za-z_]+)(\.|$)/

/** Errors: FORMAT_ADAPTER and those of `readSafetensors`. */
export function readAdapter(folder: string): Adapter {
  const config = readAdapterConfig(folder)
  const path = join(folder, 'adapter_model.safetensors')
  if (!isFile(path))
    throw bad(
      folder,
      isFile(join(folder, 'adapter_model.bin'))
        ? 'keeps its weights in adapter_model.bin, a pickle; save it with PEFT as safetensors'
        : 'has no adapter_model.safetensors',
    )
  const parts = new Map<string, Partial<Record<string, CheckpointTensor>>>()
  const saved = new Map<string, CheckpointTensor>()
  const base = new Map<string, CheckpointTensor>()
  for (const [key, { dtype, ...entry }] of readSafetensors(path).tensors) {
    if (!key.startsWith(prefix)) throw bad(path, `has the tensor ${key}, whose name does not start with ${prefix}`)
    const name = key.slice(prefix.length)
    const [, module, part] = endings.exec(name) ?? []
    const ours = module && part?.startsWith('base_layer.') ? `${module}.${part.slice('base_layer.'.length)}` : name
    const tensor = denseTensor({ ...entry, name: ours, storage: dtype, path })
    if (tensor.dtype !== 'f32' && tensor.dtype !== 'bf16' && tensor.dtype !== 'f16')
      throw bad(path, `has ${key} as ${dtype}; F32, BF16 and F16 are supported`)
    if (part === 'base_layer.weight') base.set(ours, tensor)
    else if (part === 'base_layer.bias') saved.set(ours, tensor)
    else if (module && part) parts.set(module, { ...parts.get(module), [part]: tensor })
    else if (unsupportedParts.test(name))
      throw bad(path, `has ${key}, which belongs to ${name.includes('magnitude') ? 'DoRA' : 'an adapter of a kind'} that is not supported`)
    else saved.set(ours, tensor)
  }
  if (parts.size === 0 && saved.size === 0) throw bad(path, 'holds no adapter tensor')
  const modules = new Map([...parts].map(([module, found]) => [module, pair(module, found, config, path)]))
  return { config, modules, saved, base }
}

function pair(module: string, parts: Partial<Record<string, CheckpointTensor>>, config: AdapterConfig, path: string): LoraTensors {
  const embedding = 'lora_embedding_A' in parts || 'lora_embedding_B' in parts
  const a = parts[embedding ? 'lora_embedding_A' : 'lora_A.weight']
  const b = parts[embedding ? 'lora_embedding_B' : 'lora_B.weight']
  if (!a || !b) throw bad(path, `has only one of lora_A and lora_B of ${module}`)
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw bad(path, `has lora_A or lora_B of ${module} that is no matrix (sharded weights saved without being gathered?)`)
  const bias = parts['lora_B.bias']
  if (bias && bias.cols !== b.rows)
    throw bad(path, `has a lora_B.bias of ${bias.cols} values for ${module}, whose lora_B has ${b.rows} rows`)
  const r = rankOf(config, module)
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
