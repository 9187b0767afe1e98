/**
 * Experts that a file keeps as (E, out, in), several linears each by itself, and the model as (E, in, out) with their channels by turns
 * (gpt-oss): read so. Their biases are woven alike.
 */
import { SaqrError } from '../../error.ts'
import { checkRows } from '../dense.ts'
import { asF32, bytesOf, f32ToBf16 } from '../numbers.ts'
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

/** @param parts (E, out, in) each, or biases (E, out). @throws SaqrError FORMAT_GGUF where one is missing, or of another shape */
export function turnedTensor(name: string, parts: readonly (CheckpointTensor | undefined)[], path: string): CheckpointTensor {
  const [first] = parts
  const wrong = parts.find((part) => !part || String(part.shape) !== String(first?.shape))
  const [experts = 0, out = 0, width = 1] = first?.shape ?? []
  if (!first || !parts.every((part) => part !== undefined) || wrong || first.shape.length !== (name.endsWith('_bias') ? 2 : 3))
    throw new SaqrError(
      'FORMAT_GGUF',
      `${path}: ${name} is made of ${parts.map((part) => part?.shape.join(' × ') ?? 'nothing').join(' and ')}, which is not the same for every linear of its experts.`,
    )
  const cols = out * parts.length
  const shape = first.shape.length === 3 ? [experts, width, cols] : [experts, cols]
  const rows = experts * width
  return {
    name,
    shape,
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
        for (const [i, part] of parts.entries()) {
          const own = asF32(width === 1 ? part.load('f32', e, 1) : part.load('f32', e * out, out)) // (out, in)
          for (let channel = row; channel < end; channel++)
            for (let o = 0, at = (channel - from) * cols + i; o < out; o++, at += parts.length)
              values[at] = own[o * width + channel - e * width]!
        }
      }
      return bytesOf(to === 'f32' ? values : f32ToBf16(values))
    },
  }
}
