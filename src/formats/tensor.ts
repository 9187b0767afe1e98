/** What a checkpoint gives the rest of the library, whatever file it came from. Devices take these sources as they are. */
import type { StoredTensor } from './dense.ts'
import type { JsonObject } from './json.ts'

/** Where a tensor's first bytes come from. `file` is mapped or uploaded by the device, never copied into JavaScript. */
export type FileSource = { kind: 'file'; path: string; offset: number }
export type ByteSource = { kind: 'zero' } | { kind: 'data'; bytes: Uint8Array } | FileSource

/** Element types the library computes with. */
export type TensorDType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'nf4'

/** bitsandbytes' state of a 4-bit tensor; see nf4.ts for how values come out of it. */
export interface QuantState {
  /** weights per entry of `absmax` (64) */
  blocksize: number
  /** 16 values */
  codebook: Float32Array
  /** f32 an entry; nested: a u8 code an entry */
  absmax: ByteSource
  /** absmax = code[q] · absmax2[i / blocksize] + offset */
  nested?: { blocksize: number; code: Float32Array; absmax: ByteSource; offset: number }
  /** what bitsandbytes dequantises it to */
  dtype: 'f32' | 'bf16' | 'f16'
}

/** One tensor under its Hugging Face name. A 1-D tensor of n is 1 × n; of more than two dimensions all but the last are folded into `rows`. */
export interface CheckpointTensor {
  name: string
  /** the name it is written by again, where its file and its family call it differently */
  inFile?: string
  /** the file keeps it as these, one below the other; it is written again as these */
  parts?: readonly CheckpointTensor[]
  shape: readonly number[]
  rows: number
  cols: number
  /** the file has it as matrices the other way round, (out, in) of each expert one below the other, quantised: codes are taken from here */
  across?: CheckpointTensor
  /** as stored; for a GGUF block type what its values are: 'f32'. Types we don't compute with keep their safetensors name ('I64', 'F8_E4M3'). */
  dtype: TensorDType | (string & {})
  /** how it is stored, for people: 'BF16', 'Q4_K', 'nf4' */
  storage: string
  /** bytes in the file(s), quantisation state included */
  bytes: number
  /** set where the file holds dense `rows × cols` of `dtype` (nf4: the packed nibbles) at an offset aligned to its elements */
  source?: FileSource
  quant?: QuantState
  /** its rows in blocks of `storage`, in the order they have here: where a file has them so, or written into memory of that size; absent: it is no tensor of whole blocks of one type */
  blocks?: FileSource | ((into: Uint8Array) => void)
  /**
   * Rows [from, from + count) as f32 or bf16, little endian: dequantised in f32 as the reference does, then rounded once.
   * `into`: memory of that size which is filled and returned by what makes values of blocks or reads values as they lie; the rest returns its own.
   * Errors: FORMAT_DTYPE for a type that is no weight.
   */
  load(dtype: 'f32' | 'bf16', from?: number, count?: number, into?: Uint8Array): Uint8Array
}

export interface TokenizerFiles {
  /** tokenizer.json */
  tokenizerJson: JsonObject
  /** tokenizer_config.json, with special_tokens_map.json merged in where it says more */
  tokenizerConfig: JsonObject
  /** the Jinja template named `default` */
  chatTemplate?: string
  /** further templates by name (tool_use, rag …) */
  chatTemplates: Readonly<Record<string, string>>
}

export interface Checkpoint {
  kind: 'safetensors' | 'gguf'
  /** folder, or .gguf file */
  path: string
  /** in the form of Hugging Face's config.json */
  config: JsonObject
  generationConfig?: JsonObject
  /** read on first use; undefined where the checkpoint has none */
  readonly tokenizer: TokenizerFiles | undefined
  tensors: ReadonlyMap<string, CheckpointTensor>
  /** the adapter whose stored weights stand in for the files' own */
  adapter?: { folder: string; stored: ReadonlyMap<string, StoredTensor> }
}
