/** A Hugging Face model folder: config.json, tokenizer files, safetensors (one file, or shards with an index). */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { takeNf4 } from './bnb.ts'
import { denseTensor, type StoredTensor } from './dense.ts'
import { isFile } from './files.ts'
import { isObject, type JsonObject, readJsonObject } from './json.ts'
import { readSafetensors, readShards, type ShardedEntry } from './safetensors/read.ts'
import type { Checkpoint, CheckpointTensor, TokenizerFiles } from './tensor.ts'
import { readTokenizerFiles } from './tokenizer-files.ts'

/** Errors: FORMAT_NOT_A_MODEL, FORMAT_NO_WEIGHTS, FORMAT_PICKLE, FORMAT_QUANTIZATION and those of the files' readers. */
export function openFolder(folder: string): Checkpoint {
  const config = readFolderConfig(folder)
  refuseQuantisation(config, folder)
  const generation = join(folder, 'generation_config.json')
  let tokenizer: { files: TokenizerFiles | undefined } | undefined
  return {
    kind: 'safetensors',
    path: folder,
    config,
    generationConfig: isFile(generation) ? readJsonObject(generation) : undefined,
    get tokenizer() {
      tokenizer ??= { files: readTokenizerFiles(folder) }
      return tokenizer.files
    },
    tensors: readTensors(folder),
  }
}

export function readFolderConfig(folder: string): JsonObject {
  const path = join(folder, 'config.json')
  if (isFile(path)) return readJsonObject(path)
  if (isFile(join(folder, 'adapter_config.json'))) {
    throw new SaqrError(
      'FORMAT_NOT_A_MODEL',
      `${folder} is a PEFT adapter, not a model: its adapter_config.json names the base model it belongs to.`,
    )
  }
  throw new SaqrError(
    'FORMAT_NOT_A_MODEL',
    `${folder} has no config.json, so it is not a model folder. Give a Hugging Face model folder or a .gguf file.`,
  )
}

function readTensors(folder: string): Map<string, CheckpointTensor> {
  const stored = new Map(
    [...readEntries(folder)].map(([name, { dtype, ...entry }]): [string, StoredTensor] => [name, { ...entry, name, storage: dtype }]),
  )
  const quantised = takeNf4(stored)
  const all = [...quantised, ...[...stored.values()].map(denseTensor)]
  return new Map(all.sort((a, b) => (a.name < b.name ? -1 : 1)).map((tensor) => [tensor.name, tensor]))
}

/** transformers looks in this order too */
function readEntries(folder: string): Map<string, ShardedEntry> {
  const single = join(folder, 'model.safetensors')
  if (isFile(single)) {
    return new Map([...readSafetensors(single).tensors].map(([name, entry]) => [name, { ...entry, path: single }]))
  }
  const index = join(folder, 'model.safetensors.index.json')
  if (isFile(index)) return readShards(index)
  const names = readdirSync(folder)
  const pickle = names.find((name) => /^(pytorch_model.*\.bin(\.index\.json)?|.*\.(pth|pt|ckpt))$/.test(name))
  if (pickle) {
    throw new SaqrError(
      'FORMAT_PICKLE',
      `${folder} has its weights in ${pickle}, a pickle that runs code when it is read. Convert it in Python: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder).`,
    )
  }
  const other = names.find((name) => name.endsWith('.safetensors'))
  throw new SaqrError(
    'FORMAT_NO_WEIGHTS',
    `${folder} has no model.safetensors and no model.safetensors.index.json${other ? ` (only ${other}, which nothing says how to use)` : ''}. Fetch the weights too.`,
  )
}

/** Only bitsandbytes NF4 among the quantised forms is read. */
function refuseQuantisation(config: JsonObject, folder: string): void {
  if (isObject(config.quantization) && !isObject(config.quantization_config)) throw quantised(folder, 'MLX')
  const { quantization_config: q } = config
  if (!isObject(q)) return
  if (q.quant_method !== 'bitsandbytes' && !('load_in_4bit' in q)) throw quantised(folder, String(q.quant_method ?? 'unknown'))
  if (q.load_in_8bit === true) throw quantised(folder, 'bitsandbytes 8-bit')
  if (q.load_in_4bit === true && q.bnb_4bit_quant_type !== 'nf4')
    throw quantised(folder, `bitsandbytes ${String(q.bnb_4bit_quant_type ?? 'fp4')}`)
}

function quantised(folder: string, what: string): SaqrError {
  return new SaqrError(
    'FORMAT_QUANTIZATION',
    `${folder} is quantised (${what}), which is not supported: safetensors in F32, BF16, F16 or bitsandbytes NF4 are, and GGUF. Use the unquantised model; loadIn4bit quantises it to NF4.`,
  )
}
