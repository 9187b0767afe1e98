/** A whole model as a Hugging Face folder: config, generation config, tokenizer, weights in shards with an index where they are many. */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { asBf16 } from '../devices/cpu/dense-values.ts'
import { stringifyJson } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import { bytesOf } from '../formats/numbers.ts'
import { tensorBytes } from '../formats/safetensors/header.ts'
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors/write.ts'
import type { CheckpointTensor, FileSource, TokenizerFiles } from '../formats/tensor.ts'
import { writeTokenizer } from '../formats/tokenizer-files.ts'
import { ensureWritableFolder, fileError, isFile, readRange, writeFileAtomic } from '../hub/files.ts'
import { move } from '../hub/move.ts'
import { endingAs } from './ends.ts'
import type { OpenedModel } from './opened-model.ts'
import { buffersOf, isBeside } from './settle.ts'

/** bytes of one file at most, unless told otherwise */
const SHARD = 5e9

const json = (value: unknown) => `${stringifyJson(value, { indent: 2 })}\n`

export interface FolderChanges {
  /** keys of config.json that differ from the base's */
  config?: Record<string, unknown>
  /** tensors that the base has no name for: a head that is no longer tied … */
  /** default: the checkpoint's */
  tokenizer?: TokenizerFiles
  extra?: readonly { name: string; shape: readonly number[]; values: () => Float32Array }[]
  /** bytes of weights in one file at most, where it holds more than one tensor; default 5 GB */
  shardBytes?: number
  /** is waited for after each part that is written; what it throws ends the writing */
  pause?: () => Promise<void>
}

/** New values of a tensor (rows × cols, f32), read some rows at a time. */
export interface ChangedRows {
  rows(from: number, count: number): Float32Array
}

/** weights converted at once */
const CHUNK = 1 << 20

/**
 * Weights in the open model's dtype, each rounded once from f32; what stands beside the text model byte for byte.
 * @param changed new values of a tensor of the checkpoint, or null where it stays as it is; asked when its turn comes
 * @returns bytes of weights
 */
export async function writeModelFolder(
  opened: OpenedModel,
  folder: string,
  changed: (t: CheckpointTensor) => ChangedRows | null,
  { config = {}, tokenizer = opened.checkpoint.tokenizer, extra = [], shardBytes = SHARD, pause }: FolderChanges = {},
): Promise<number> {
  ensureWritableFolder(folder)
  const { checkpoint, choice } = opened
  const bf16 = choice.dtype === 'bf16'
  const copied = (bytes: Uint8Array, room?: Uint8Array) => {
    room?.set(bytes)
    return room ?? bytes
  }
  const encode = (values: Float32Array, room?: Uint8Array) => (bf16 ? asBf16(values, room) : copied(bytesOf(values), room))
  const dtype = bf16 ? 'BF16' : 'F32'
  const weights: Written = { dtype, encode, load: bf16 ? 'bf16' : 'f32' }
  const buffers = buffersOf(opened.model)
  const tensors: TensorToWrite[] = [
    ...[...checkpoint.tensors.values()].flatMap((t): TensorToWrite | TensorToWrite[] => {
      if (t.parts) return inParts(t, changed, weights)
      const named = { name: t.inFile ?? t.name, shape: t.shape }
      if (t.source && !t.quant && isBeside(opened.model, t.name)) return { ...named, dtype: t.storage, data: () => inBytes(t, t.source!) }
      if (buffers.has(t.name)) return { ...named, dtype: 'F32', data: () => [t.load('f32')] }
      return { ...named, dtype, data: () => inRows(t, changed(t), weights) }
    }),
    ...extra.map(({ name, shape, values }) => ({ name, dtype, shape, data: () => encode(values()) })),
  ]
  const bytes = await writeShards(folder, pause ? tensors.map((tensor) => paused(tensor, pause)) : tensors, shardBytes)
  const ending = endingAs(tokenizer, checkpoint.config, checkpoint.generationConfig)
  const dtypes = { quantization_config: undefined, dtype: bf16 ? 'bfloat16' : 'float32' }
  writeFileAtomic(
    join(folder, 'config.json'),
    json(withKeys(checkpoint.config, { ...dtypes, ...ending.config, ...opened.model.saved, ...config })),
  )
  if (ending.generation) writeFileAtomic(join(folder, 'generation_config.json'), json(ending.generation))
  if (tokenizer) writeTokenizer(folder, tokenizer)
  for (const name of opened.model.composite?.files ?? []) {
    const path = join(checkpoint.path, name)
    if (isFile(path)) writeFileAtomic(join(folder, name), readFileSync(path))
  }
  return bytes
}

function paused(tensor: TensorToWrite, pause: () => Promise<void>): TensorToWrite {
  return {
    ...tensor,
    async *data() {
      const given = typeof tensor.data === 'function' ? tensor.data() : tensor.data
      for await (const part of given instanceof Uint8Array ? [given] : given) {
        yield part
        await pause()
      }
    },
  }
}

/** What weights are written in: its name in a file, f32 values in it (in memory of that size, where it is given), and what a checkpoint is asked for. */
interface Written {
  dtype: 'BF16' | 'F32'
  encode: (values: Float32Array, room?: Uint8Array) => Uint8Array
  load: 'bf16' | 'f32'
}

/** Each part as it was named, in whatever order they are written; the whole is asked for once, and let go after the last of them. */
function inParts(t: CheckpointTensor, changed: (t: CheckpointTensor) => ChangedRows | null, weights: Written): TensorToWrite[] {
  let whole: ChangedRows | null | undefined
  let left = t.parts!.length
  let row = 0
  return t.parts!.map((part) => {
    const start = row
    row += part.rows
    return {
      name: part.inFile ?? part.name,
      shape: part.shape,
      dtype: weights.dtype,
      *data() {
        if (whole === undefined) whole = changed(t)
        const all = whole
        if (--left === 0) whole = undefined
        yield* inRows(part, all && { rows: (from, count) => all.rows(start + from, count) }, weights)
      },
    }
  })
}

/** one part is written while the next is made */
function* inRows(t: CheckpointTensor, changed: ChangedRows | null, { encode, load }: Written): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(CHUNK / t.cols))
  const width = t.cols * (load === 'bf16' ? 2 : 4)
  const size = Math.min(step, t.rows) * width
  let [room, written] = [new Uint8Array(size), new Uint8Array(t.rows > step ? size : 0)]
  for (let row = 0; row < t.rows; row += step) {
    const count = Math.min(step, t.rows - row)
    const own = room.subarray(0, width * count)
    // what stays and lies in that type already is read as it lies
    yield changed ? encode(changed.rows(row, count), own) : t.load(load, row, count, own)
    ;[room, written] = [written, room]
  }
}

function* inBytes(t: CheckpointTensor, { path, offset }: FileSource): Generator<Uint8Array> {
  for (let at = 0; at < t.bytes; at += CHUNK) yield readRange(path, offset + at, Math.min(CHUNK, t.bytes - at))
}

/** the two ways a folder says where its weights are: of a model saved there before, the other way must not stay */
const WHOLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

const ONE_OF_MANY = /^model-\d{5}-of-\d{5}\.safetensors$/

async function writeShards(folder: string, tensors: readonly TensorToWrite[], most: number): Promise<number> {
  const shards: TensorToWrite[][] = [[]]
  let filled = 0
  let total = 0
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.dtype, tensor.shape)!
    if (filled > 0 && filled + bytes > most) {
      shards.push([])
      filled = 0
    }
    shards.at(-1)!.push(tensor)
    filled += bytes
    total += bytes
  }
  if (shards.length === 1) {
    await writeSafetensors(join(folder, WHOLE), tensors, { format: 'pt' })
    rmSync(join(folder, INDEX), { force: true })
    sweep(folder, [])
    return total
  }
  const number = (n: number) => String(n).padStart(5, '0')
  const map: Record<string, string> = {}
  for (const [i, shard] of shards.entries()) {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`
    await writeSafetensors(join(folder, name), shard, { format: 'pt' })
    for (const tensor of shard) map[tensor.name] = name
  }
  writeFileAtomic(join(folder, INDEX), json({ metadata: { total_size: total }, weight_map: map }))
  rmSync(join(folder, WHOLE), { force: true })
  sweep(folder, Object.values(map))
  return total
}

/** shards of a model that was saved there before */
function sweep(folder: string, kept: readonly string[]): void {
  for (const name of readdirSync(folder)) if (ONE_OF_MANY.test(name) && !kept.includes(name)) rmSync(join(folder, name), { force: true })
}

/**
 * A model that was written into `from` takes its place in `to`, on the same disk, over one that lies there: what says where weights are goes first and
 * comes last, so that a reader meets the old model, the new one or none.
 */
export function moveModelFolder(from: string, to: string): void {
  const names = readdirSync(from)
  const entry = names.filter((name): boolean => name === WHOLE || name === INDEX)
  try {
    for (const name of [WHOLE, INDEX]) rmSync(join(to, name), { force: true })
    for (const name of [...names.filter((name) => !entry.includes(name)), ...entry]) {
      rmSync(join(to, name), { force: true, recursive: true })
      move(join(from, name), join(to, name))
    }
    sweep(to, names)
    rmSync(from, { recursive: true })
  } catch (cause) {
    throw fileError(cause, to, 'write')
  }
}
