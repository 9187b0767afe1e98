/** A .gguf file as a Checkpoint: Hugging Face's configuration, names, row order and tokenizer; tensors dequantised when loaded. */
import { fstatSync } from 'node:fs'
import { SaqrError } from '../../error.ts'
import { checkRows, matrixShape } from '../dense.ts'
import { readExactly, readRange, withFile } from '../files.ts'
import type { JsonObject } from '../json.ts'
import { asF32, bytesOf, f32ToBf16 } from '../numbers.ts'
import { madeOf, storedBytes } from '../stored.ts'
import type { Checkpoint, CheckpointTensor, TokenizerFiles } from '../tensor.ts'
import { type GgufConfig, ggufConfig } from './config.ts'
import { type BlockReader, DENSE, inJavaScript, unrotated } from './dequantise.ts'
import { type GgufHeader, type GgufTensor, parseGguf } from './header.ts'
import { joinHeads } from './heads.ts'
import { type GgufLayout, headPart, huggingFaceName } from './layout.ts'
import { joinParts } from './split.ts'
import { ggufTokenizer } from './tokenizer.ts'
import { partOf, turnedTensor } from './turned.ts'

/** the header read last: a model's configuration, tokenizer and weights are asked for one after the other, and each is in it */
let last: { key: string; header: WeakRef<GgufHeader> } | undefined

/** Reads and checks a file's header, with the tensors of the other parts where it is the first of several. Errors: FORMAT_GGUF, FORMAT_GGUF_TYPE, FORMAT_SHARD_MISSING, FORMAT_NOT_FOUND. */
export function readGguf(path: string): GgufHeader {
  return joinParts(path, readPart(path), readPart)
}

function readPart(path: string): GgufHeader {
  return withFile(path, (fd, size) => {
    const { ino, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true })
    const key = [path, ino, size, mtimeNs, ctimeNs].join(' ')
    const known = last?.key === key ? last.header.deref() : undefined
    if (known) return known
    const header = parseGguf({ size, read: (offset, length) => readExactly(fd, path, offset, length) }, path)
    last = { key, header: new WeakRef(header) }
    return header
  })
}

/**
 * @param blocks how values come out of blocks
 * Errors: those of `readGguf`, FORMAT_GGUF_ARCHITECTURE; FORMAT_GGUF_TOKENIZER when its tokenizer is asked for.
 */
export function openGguf(path: string, layouts: readonly GgufLayout[], blocks: BlockReader = inJavaScript): Checkpoint {
  const header = readGguf(path)
  const { layout, config, generationConfig } = configOf(header, path, layouts)
  let tokenizer: { files: TokenizerFiles | undefined } | undefined
  return {
    kind: 'gguf',
    path,
    config,
    generationConfig,
    get tokenizer() {
      tokenizer ??= { files: ggufTokenizer(header, path, layout.tokenizerLacks) }
      return tokenizer.files
    },
    tensors: tensorsOf(header, path, layout, config, blocks),
  }
}

export function readGgufConfig(path: string, layouts: readonly GgufLayout[]): JsonObject {
  return configOf(readGguf(path), path, layouts).config
}

function configOf(header: GgufHeader, path: string, layouts: readonly GgufLayout[]): GgufConfig {
  const factors: Record<string, Float32Array> = {}
  for (const name of ['rope_freqs.weight', ...layouts.flatMap((layout) => layout.factors ?? [])]) {
    const tensor = header.tensors.get(name)
    if (!tensor) continue
    if (tensor.type.name !== 'F32') throw new SaqrError('FORMAT_GGUF', `${path}: ${name} is ${tensor.type.name}, it must be F32.`)
    factors[name] = asF32(readRange(tensor.path, tensor.offset, tensor.bytes))
  }
  return ggufConfig(header, path, factors, layouts)
}

function tensorsOf(
  header: GgufHeader,
  path: string,
  layout: GgufLayout,
  config: JsonObject,
  blocks: BlockReader,
): Map<string, CheckpointTensor> {
  const heads = { attn_q: config.num_attention_heads as number, attn_k: config.num_key_value_heads as number }
  const tensors = new Map<string, CheckpointTensor>()
  const woven = new Map<string, (CheckpointTensor | undefined)[]>()
  const byHead = new Map<string, { transposed?: CheckpointTensor; plain?: CheckpointTensor }>()
  for (const tensor of header.tensors.values()) {
    if (tensor.name === 'rope_freqs.weight' || layout.factors?.includes(tensor.name)) continue // already part of the configuration
    const [part, ofHead] = [partOf(tensor.name, layout), headPart(tensor.name, layout)]
    if (part) {
      const list = woven.get(part.name) ?? new Array<CheckpointTensor | undefined>(part.of).fill(undefined)
      list[part.index] = ggufTensor(tensor.name, tensor, 0, blocks)
      woven.set(part.name, list)
      continue
    }
    if (ofHead) {
      const one = ggufTensor(tensor.name, tensor, 0, blocks)
      byHead.set(ofHead.name, { ...byHead.get(ofHead.name), [ofHead.transposed ? 'transposed' : 'plain']: one })
      continue
    }
    const name = huggingFaceName(tensor.name, layout)
    if (!name)
      throw new SaqrError(
        'FORMAT_GGUF_ARCHITECTURE',
        `${path} has the tensor ${tensor.name}, which ${layout.architecture} models don't have.`,
      )
    const rotated = layout.rotatedRows?.find((part) => tensor.name.includes(`.${part}.`))
    const stored = ggufTensor(name, tensor, rotated ? heads[rotated] : 0, blocks)
    if (name.includes('*')) for (const one of expertsOf(stored, tensor, path)) tensors.set(one.name, one)
    else tensors.set(name, layout.normsPlusOne && name.endsWith('norm.weight') ? lessOne(stored) : stored)
  }
  for (const [name, parts] of woven) tensors.set(name, turnedTensor(name, parts, path))
  for (const [name, { transposed, plain }] of byHead) {
    if (tensors.has(name)) continue // files of some weeks have the whole beside its parts
    if (!transposed || !plain)
      throw new SaqrError('FORMAT_GGUF', `${path} lacks a part of ${name}, it has only ${(transposed ?? plain)!.name}.`)
    tensors.set(name, joinHeads(name, transposed, plain, path))
  }
  return new Map([...tensors].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** a tensor (E, rows, cols) as E of them, each where its name has a star */
function expertsOf(all: CheckpointTensor, file: GgufTensor, path: string): CheckpointTensor[] {
  const { shape } = file
  const [experts, rows, cols] = shape
  if (shape.length !== 3 || !experts || !rows || !cols)
    throw new SaqrError('FORMAT_GGUF', `${path}: ${all.name} (${shape.join(' × ')}) holds no matrix for each expert.`)
  return Array.from({ length: experts }, (_, e) => {
    const name = all.name.replace('*', String(e))
    const bytes = all.bytes / experts
    const one: CheckpointTensor = {
      ...all,
      blocks: undefined,
      ...{ name, shape: [rows, cols], rows, cols, bytes },
      source: all.source && { ...all.source, offset: all.source.offset + e * bytes },
      load(to, from = 0, count = rows - from, into = undefined) {
        checkRows(name, rows, from, count)
        return all.load(to, e * rows + from, count, into)
      },
    }
    return madeOf(one, () => [{ ...file, offset: file.offset + e * bytes, bytes }])
  })
}

/** what was stored as 1 + w */
function lessOne(stored: CheckpointTensor): CheckpointTensor {
  const less: CheckpointTensor = {
    ...stored,
    source: undefined,
    blocks: undefined,
    load(to, from, count) {
      const values = asF32(stored.load('f32', from, count)).map((x) => x - 1)
      return bytesOf(to === 'f32' ? values : f32ToBf16(values))
    },
  }
  return madeOf(less, () => storedBytes(stored))
}

/** bytes of blocks that are read where the last ones lay: fresh memory costs as much as reading them */
const SCRATCH = 1 << 22
/** bytes that are read sooner than a file is mapped, found in its pages and let go */
const SMALL = 1 << 16
let scratch: Uint8Array | undefined

/**
 * `heads` > 0: rows of each head were put into the order (0, half, 1, half + 1 …) that llama.cpp's rotation wants, and go back to
 * (0, 1 … half, half + 1 …), which Hugging Face's wants. Of a bias it is the elements of its one row.
 */
function ggufTensor(name: string, tensor: GgufTensor, heads: number, blocks: BlockReader): CheckpointTensor {
  const { type, shape, path, offset, bytes } = tensor
  const { rows, cols } = matrixShape(shape)
  const dtype = DENSE[type.name]
  const rowBytes = bytes / rows
  const read = (from: number, count: number, kept: boolean) => {
    const length = count * rowBytes
    const out = kept || length > SCRATCH ? undefined : (scratch ??= new Uint8Array(SCRATCH)).subarray(0, length)
    return readRange(path, offset + from * rowBytes, length, out)
  }
  const headRows = shape[0]! / heads
  if (heads > 0 && (headRows % 2 !== 0 || shape.length > 2 || (shape.length === 1 && !dtype))) {
    throw new SaqrError('FORMAT_GGUF', `${path}: ${tensor.name} (${shape.join(' × ')}, ${type.name}) does not divide into ${heads} heads.`)
  }
  const { unrotate = unrotated } = blocks
  const inOrder = (from: number, count: number, kept: boolean) => {
    if (heads === 0) return read(from, count, kept)
    const all = shape.length === 1 // lines are elements
    const line = all ? rowBytes / cols : rowBytes
    const out = new Uint8Array(count * rowBytes)
    const first = all ? 0 : from - (from % headRows)
    const end = all ? 1 : Math.ceil((from + count) / headRows) * headRows
    unrotate(read(first, end - first, false), { lines: headRows, line, from: all ? 0 : from - first }, out)
    return out
  }
  const made: CheckpointTensor = {
    name, shape, rows, cols, bytes,
    dtype: dtype ?? 'f32',
    storage: type.name,
    source: dtype && heads === 0 ? { kind: 'file', path, offset } : undefined,
    blocks: dtype ? undefined : heads === 0 ? { kind: 'file', path, offset } : (into) => unrotate(read(0, rows, false), { lines: headRows, line: rowBytes, from: 0 }, into),
    load(to, from = 0, count = rows - from, into = undefined) {
      checkRows(name, rows, from, count)
      const at = { path, offset: offset + from * rowBytes, bytes: count * rowBytes }
      if (into && heads === 0 && dtype !== to && at.bytes > SMALL && blocks.ofFile?.(at, type, to, into)) return into
      const stored = inOrder(from, count, dtype === to)
      return dtype === to ? stored : blocks(stored, type, to, into)
    },
  } // biome-ignore format: short fields first
  return madeOf(made, () => [tensor])
}
