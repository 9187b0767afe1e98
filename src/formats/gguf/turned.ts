/**
 * Experts that a file keeps as (E, out, in), several linears each by itself, and the model as (E, in, out) with their channels by turns
 * (gpt-oss): read so. Their biases are woven alike.
 */
import { SaqrError } from '../../error.ts'
import { checkRows } from '../dense.ts'
import { asF32, bytesOf, f32ToBf16 } from '../numbers.ts'
import { madeOf, storedBytesOf } from '../stored.ts'
import type { CheckpointTensor } from '../tensor.ts'
import type { GgufLayout } from './layout.ts'

/** Which of how many parts of the model's tensor `name` a file's tensor is; undefined: of none. */
export function partOf(gguf: string, { turned = {} }: GgufLayout): { name: string; index: number; of: number } | undefined {
  const [, layer, part, kind] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.(weight|bias)$/.exec(gguf) ?? []
  for (const [path, parts] of Object.entries(turned)) {
    const index = part === undefined ? -1 : parts.indexOf(part)
    if (index >= 0) return { name: `model.layers.${layer}.${path}${kind === 'bias' ? '_bias' : ''}`, index, of: parts.length }
  }
  return undefined
}

/** rows turned together: they stay in the processor's first cache while they are read a channel of each at a time */
const TILE = 64

/** @param parts (E, out, in) each, or biases (E, out). @throws SaqrError FORMAT_GGUF where one is missing, or of another shape */
export function turnedTensor(name: string, parts: readonly (CheckpointTensor | undefined)[], path: string): CheckpointTensor {
  const [first] = parts
  const alike = (part: CheckpointTensor | undefined): part is CheckpointTensor => String(part?.shape) === String(first?.shape)
  const isBias = name.endsWith('_bias')
  if (!first || !parts.every(alike) || first.shape.length !== (isBias ? 2 : 3))
    throw new SaqrError(
      'FORMAT_GGUF',
      `${path}: ${name} is made of ${parts.map((part) => part?.shape.join(' × ') ?? 'nothing').join(' and ')}, which is not the same for every linear of its experts.`,
    )
  const [experts, out, width = 1] = first.shape as readonly [number, number, number?]
  const cols = out * parts.length
  const rows = experts * width
  // an expert is decoded whole, and asked for some channels at a time: it stays until its last ones
  let kept: { expert: number; values: Float32Array[] } | undefined
  const decoded = (expert: number): Float32Array[] => {
    if (kept?.expert !== expert) {
      const [from, count] = isBias ? [expert, 1] : [expert * out, out]
      kept = { expert, values: parts.map((part) => asF32(part.load('f32', from, count))) } // (out, in) each
    }
    return kept.values
  }
  const tensor: CheckpointTensor = {
    name,
    shape: isBias ? [experts, cols] : [experts, width, cols],
    rows,
    cols,
    dtype: 'f32',
    storage: first.storage,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    load(to, from = 0, count = rows - from) {
      checkRows(name, rows, from, count)
      const values = new Float32Array(count * cols)
      for (let row = from, end = from; row < from + count; row = end) {
        const e = Math.floor(row / width)
        end = Math.min(from + count, (e + 1) * width)
        const some = values.subarray((row - from) * cols, (end - from) * cols)
        for (const [i, own] of decoded(e).entries()) weave(own, width, row - e * width, some, cols, i, parts.length)
        if (end === (e + 1) * width) kept = undefined
      }
      return bytesOf(to === 'f32' ? values : f32ToBf16(values))
    },
  }
  return madeOf(tensor, () => storedBytesOf(parts.filter((part) => part !== undefined)))
}

/** channels `from` on of own (out, width) into to (channels, cols), every `by`-th column from `first` on */
function weave(own: Float32Array, width: number, from: number, to: Float32Array, cols: number, first: number, by: number): void {
  const [out, channels] = [own.length / width, to.length / cols]
  for (let tile = 0; tile < out; tile += TILE) {
    const end = Math.min(tile + TILE, out)
    for (let channel = 0; channel < channels; channel++)
      for (
        let o = tile, at = channel * cols + first + tile * by, read = tile * width + from + channel;
        o < end;
        o++, at += by, read += width
      )
        to[at] = own[read]!
  }
}
