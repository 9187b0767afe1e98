/**
 * A 4-bit matrix of those that a file has each quantised by itself (experts of a bitsandbytes checkpoint), codes as they are. Their scales are
 * f32: those that are quantised themselves differ from one to the next in what they are taken from.
 */
import { readAbsmax } from './bnb.ts'
import { readRange } from './files.ts'
import { bytesOf } from './numbers.ts'
import type { CheckpointTensor, QuantState } from './tensor.ts'

/** Undefined where they can be one; else why not. */
export function unlikeNf4(parts: readonly CheckpointTensor[]): string | undefined {
  const { quant: first } = parts[0]!
  const other = parts.find(({ quant, source }) => !quant || !source)
  if (!first || other) return `${(other ?? parts[0]!).name} is not quantised`
  for (const { name, rows, cols, quant } of parts) {
    if (quant!.blocksize !== first.blocksize)
      return `${name} has scales for ${quant!.blocksize} weights, ${parts[0]!.name} for ${first.blocksize}`
    if (quant!.dtype !== first.dtype) return `${name} is of ${quant!.dtype}, ${parts[0]!.name} of ${first.dtype}`
    if ((rows * cols) % quant!.blocksize !== 0)
      return `its ${rows} × ${cols} weights are no multiple of ${quant!.blocksize}, so a scale would be of two experts`
  }
  return undefined
}

/** One below the other. @param parts of which `unlikeNf4` says nothing */
export function joinNf4(parts: readonly CheckpointTensor[]): { packed: Uint8Array; quant: QuantState } {
  const count = ({ rows, cols }: CheckpointTensor) => rows * cols
  const { blocksize, codebook, dtype } = parts[0]!.quant!
  const all = parts.reduce((sum, part) => sum + count(part), 0)
  const [packed, absmax] = [new Uint8Array(all / 2), new Float32Array(all / blocksize)]
  let at = 0
  for (const part of parts) {
    const { path, offset } = part.source!
    packed.set(readRange(path, offset, count(part) / 2), at / 2)
    absmax.set(readAbsmax(part.quant!, 0, count(part) / blocksize), at / blocksize)
    at += count(part)
  }
  return { packed, quant: { blocksize, codebook, dtype, absmax: { kind: 'data', bytes: bytesOf(absmax) } } }
}
