/** A tensor that a file keeps in parts: matrices of as many columns, one below the other (the experts of a mixture, each by itself). */
import { SaqrError } from '../error.ts'
import { checkRows } from './dense.ts'
import { turnedTensor } from './gguf/turned.ts'
import { madeOf, storedBytesOf } from './stored.ts'
import type { CheckpointTensor } from './tensor.ts'

export function joinTensors(name: string, parts: readonly CheckpointTensor[]): CheckpointTensor {
  const cols = parts[0]!.cols
  /** the row each part begins with, and where the last ends */
  const starts = [0]
  for (const part of parts) starts.push(starts.at(-1)! + part.rows)
  const rows = starts.at(-1)!
  const one = <T>(of: (part: CheckpointTensor) => T, several: T): T =>
    parts.every((p) => of(p) === of(parts[0]!)) ? of(parts[0]!) : several
  const tensor: CheckpointTensor = {
    name,
    parts,
    shape: [rows, cols],
    rows,
    cols,
    dtype: one((p) => p.dtype, 'several'),
    storage: one((p) => p.storage, 'several'),
    bytes: parts.reduce((sum, p) => sum + p.bytes, 0),
    load(dtype, from = 0, count = rows - from) {
      checkRows(name, rows, from, count)
      const bytes = new Uint8Array(count * cols * (dtype === 'f32' ? 4 : 2))
      const width = bytes.byteLength / Math.max(1, count)
      for (let i = partOf(starts, from); i < parts.length && starts[i]! < from + count; i++) {
        const first = Math.max(from, starts[i]!)
        const end = Math.min(from + count, starts[i + 1]!)
        bytes.set(parts[i]!.load(dtype, first - starts[i]!, end - first), (first - from) * width)
      }
      return bytes
    },
  }
  return madeOf(tensor, () => storedBytesOf(parts))
}

/** Matrices of experts (out, in) as the model has them, (E, in, out). Codes of quantised ones stay as they are: `across`. @param parts of one shape */
export function joinAcross(name: string, parts: readonly CheckpointTensor[]): CheckpointTensor {
  const { rows, cols } = parts[0]!
  const dense = parts.find(({ quant }) => !quant)
  if (dense && parts.some(({ quant }) => quant))
    throw new SaqrError(
      'FORMAT_QUANTIZATION',
      `${name} has experts in 4 bits and others that are not (${dense.name}): quantise all of them, or none.`,
    )
  const joined = { ...joinTensors(name, parts), shape: [parts.length, rows, cols] }
  const turned = turnedTensor(name, [joined], name)
  return dense === undefined ? { ...turned, storage: joined.storage, across: joined } : turned
}

/** the last part that begins at or before `row` */
function partOf(starts: readonly number[], row: number): number {
  let [low, high] = [0, starts.length - 1]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (starts[middle]! <= row) low = middle
    else high = middle
  }
  return low
}
