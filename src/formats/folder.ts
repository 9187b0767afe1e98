/** A Hugging Face model folder: config.json, tokenizer files, safetensors (one file, or shards with an index). */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { option, SaqrError, say } from '../error.ts'
import { takeNf4 } from './bnb.ts'
import { denseTensor, type StoredTensor } from './dense.ts'
import { isFile } from './files.ts'
import { takeFp8 } from './fp8.ts'
import { isObject, type JsonObject, readJsonObject } from './json.ts'
import { takeMxfp4 } from './mxfp4.ts'
import { readSafetensors, readShards, type ShardedEntry } from './safetensors/read.ts'
import type { Checkpoint, CheckpointTensor, TokenizerFiles } from './tensor.ts'
import { readTokenizerFiles } from './tokenizer-files.ts'

/** Errors: FORMAT_NOT_A_MODEL, FORMAT_NO_WEIGHTS, FORMAT_PICKLE, FORMAT_QUANTIZATION and those of the files' readers. */
export function openFolder(folder: string): Checkpoint {
  const config = readFolderConfig(folder)
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
    tensors: readTensors(folder, config),
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

function readTensors(folder: string, config: JsonObject): Map<string, CheckpointTensor> {
  const stored = new Map(
    [...readEntries(folder)].map(([name, { dtype, ...entry }]): [string, StoredTensor] => [name, { ...entry, name, storage: dtype }]),
  )
  const scaled = [...takeFp8(stored, config), ...takeMxfp4(stored)]
  refuseQuantisation(config, folder, stored)
  const all = [...scaled, ...takeNf4(stored), ...[...stored.values()].map(denseTensor)]
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

/** Bitsandbytes' NF4, FP8 and MXFP4 with scales for blocks are read, no other quantised form. A config that still says how weights that are dense again were quantised is no matter. */
function refuseQuantisation(config: JsonObject, folder: string, stored: ReadonlyMap<string, StoredTensor>): void {
  const method = quantisationOf(config)
  if (method !== undefined && ![...stored.values()].every(isDense)) throw quantised(folder, method)
}

/** What config.json says of a form that is not read. */
function quantisationOf({ quantization, quantization_config: q }: JsonObject): string | undefined {
  if (!isObject(q)) return isObject(quantization) ? 'MLX' : undefined
  if (q.quant_method !== 'bitsandbytes' && !('load_in_4bit' in q)) return String(q.quant_method ?? 'unknown')
  if (q.load_in_8bit === true) return 'bitsandbytes 8-bit'
  if (q.load_in_4bit === true && q.bnb_4bit_quant_type !== 'nf4') return `bitsandbytes ${String(q.bnb_4bit_quant_type ?? 'fp4')}`
  return undefined
}

/** A weight in floats, or a buffer: what quantises a weight stands beside it and says so in its name. */
function isDense({ name, storage }: StoredTensor): boolean {
  if (storage !== 'F32' && storage !== 'BF16' && storage !== 'F16') return /\.position_ids$/.test(name)
  return !/(scale|zero|quant|absmax|codebook|centroid)[^.]*$/.test(name)
}

function quantised(folder: string, what: string): SaqrError {
  return new SaqrError(
    'FORMAT_QUANTIZATION',
    say`${folder} is quantised (${what}), which is not supported: safetensors in F32, BF16, F16, FP8 with scales for blocks, MXFP4 or bitsandbytes NF4 are, and GGUF. Use the unquantised model; ${option('loadIn4bit')} quantises it to NF4.`,
  )
}
