/** Opens a model from disk, whatever its form: one shape for a Hugging Face folder and a .gguf file. */
import { join } from 'node:path'
import { SaqrError } from '../error.ts'
import { isFile, isFolder } from './files.ts'
import { openFolder, readFolderConfig } from './folder.ts'
import type { BlockReader } from './gguf/dequantise.ts'
import type { GgufLayout } from './gguf/layout.ts'
import { openGguf, readGgufConfig } from './gguf/open.ts'
import { isObject, type JsonObject, readJsonObject } from './json.ts'
import { rememberFiles } from './stored.ts'
import type { Checkpoint } from './tensor.ts'

export type { ByteSource, Checkpoint, CheckpointTensor, FileSource, QuantState, TensorDType, TokenizerFiles } from './tensor.ts'

/**
 * Opens a folder or a .gguf file: reads configuration and headers, no weights. `layouts`: how families lie in GGUF files; `blocks`: how
 * values come out of their blocks.
 * Errors: FORMAT_NOT_FOUND, FORMAT_NOT_A_MODEL and those of `openFolder` and `openGguf`.
 */
export function openFiles(path: string, layouts: readonly GgufLayout[], blocks?: BlockReader): Checkpoint {
  const checkpoint = open(path, layouts, blocks)
  rememberFiles(checkpoint.tensors.values())
  return checkpoint
}

function open(path: string, layouts: readonly GgufLayout[], blocks: BlockReader | undefined): Checkpoint {
  if (isFolder(path)) return openFolder(path)
  if (!isFile(path))
    throw new SaqrError('FORMAT_NOT_FOUND', `${path} does not exist. Give a model folder, a .gguf file, or a Hub id such as owner/name.`)
  if (path.toLowerCase().endsWith('.gguf')) return openGguf(path, layouts, blocks)
  throw new SaqrError('FORMAT_NOT_A_MODEL', `${path} is neither a model folder nor a .gguf file.`)
}

/** Whether there is more than a configuration: all files of the weights lie there. */
export function hasWeights(path: string): boolean {
  if (!isFolder(path)) return path.toLowerCase().endsWith('.gguf')
  if (isFile(join(path, 'model.safetensors'))) return true
  const index = join(path, 'model.safetensors.index.json')
  if (!isFile(index)) return false
  const { weight_map: map } = readJsonObject(index)
  return isObject(map) && Object.values(map).every((shard) => typeof shard === 'string' && isFile(join(path, shard)))
}

/** The configuration alone (config.json form) of a folder, a .gguf file or a config.json: no weights need be there. */
export function readConfigOf(path: string, layouts: readonly GgufLayout[]): JsonObject {
  if (isFolder(path)) return readFolderConfig(path)
  if (path.toLowerCase().endsWith('.gguf')) return readGgufConfig(path, layouts)
  return readJsonObject(path)
}
