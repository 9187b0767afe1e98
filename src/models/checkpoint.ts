/** A checkpoint of any family that there is. */
import { openFiles, readConfigOf } from '../formats/checkpoint.ts'
import type { BlockReader } from '../formats/gguf/dequantise.ts'
import type { JsonObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import type { Checkpoint } from '../formats/tensor.ts'
import { families } from './registry.ts'

export const layouts = families.flatMap(({ modelType, architecture, gguf }) =>
  gguf
    ? [
        {
          ...gguf,
          config: (model: Parameters<typeof gguf.config>[0]) =>
            withKeys({ architectures: [architecture], model_type: modelType }, gguf.config(model)),
        },
      ]
    : [],
)

/**
 * Opens a folder or a .gguf file: reads configuration and headers, no weights. `blocks`: how values come out of GGUF's blocks.
 * Errors: FORMAT_NOT_FOUND, FORMAT_NOT_A_MODEL and those of `openFolder` and `openGguf`.
 */
export function openCheckpoint(path: string, blocks?: BlockReader): Checkpoint {
  return openFiles(path, layouts, blocks)
}

/** The configuration alone (config.json form) of a folder, a .gguf file or a config.json: no weights need be there. */
export function readConfig(path: string): JsonObject {
  return readConfigOf(path, layouts)
}
