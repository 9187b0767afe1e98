/** Weights in GGUF's block types, made and read by native code on every core, whatever device the model is on: ggml's own bytes. */
import { SaqrError } from '../../error.ts'
import { type BlockReader, DENSE, type Heads } from '../../formats/gguf/dequantise.ts'
import { type GgmlType, ggmlType } from '../../formats/gguf/types.ts'
import { bytesOf } from '../../formats/numbers.ts'
import { runnableThreads } from '../threads.ts'
import { nativeLibrary } from './library.ts'
import { mapFile } from './pages.ts'

/** the types made here; the rest of those that are read are not */
export const MADE = ['F32', 'F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'].map(ggmlType)

/**
 * Whole blocks of `type`, one after the other, in `into` where it is given; without it F32's are the values themselves.
 * @throws SaqrError EXPORT_NOT_FINITE
 */
export function toBlocks(values: Float32Array, type: GgmlType, threads = runnableThreads(), into?: Uint8Array): Uint8Array {
  const bytes = (values.length / type.block) * type.bytes
  if (into && into.length !== bytes) throw new Error(`${into.length} bytes given where ${bytes} belong`)
  if (type.name === 'F32') {
    if (!values.every(Number.isFinite)) throw notFinite(Number.NaN)
    if (!into) return bytesOf(values)
    into.set(bytesOf(values))
    return into
  }
  const out = into ?? new Uint8Array(bytes)
  const bad = Number(nativeLibrary().native.quantiseGgml(values, values.length, type.id, out, threads))
  if (bad === -2) throw new Error(`no blocks of ${type.name} are made of ${values.length} weights`)
  if (bad >= 0) {
    throw notFinite(values.subarray(bad * type.block).find((x) => !(Math.abs(x) < 65520)))
  }
  return out
}

function notFinite(weight: number | undefined): SaqrError {
  return new SaqrError(
    'EXPORT_NOT_FINITE',
    Number.isFinite(weight)
      ? `a weight is ${weight}, which f16 can't hold: take bf16`
      : 'a weight is infinite or no number: the training went wrong, or the checkpoint is damaged',
  )
}

/** The bits that `formats/gguf/dequantise.ts` defines, in `into` where it is given. */
export const fromBlocks: BlockReader = Object.assign((...args: Parameters<BlockReader>) => blocksBy(runnableThreads(), ...args), {
  ofFile: (...args: Parameters<NonNullable<BlockReader['ofFile']>>) => blocksOfFile(runnableThreads(), ...args),
  unrotate(stored: Uint8Array, { lines, line, from }: Heads, into: Uint8Array) {
    nativeLibrary().native.unrotate(stored, into, into.length, lines, line, from)
  },
})

export function blocksBy(threads: number, ...[blocks, type, to, into]: Parameters<BlockReader>): Uint8Array {
  if (DENSE[type.name] === to) return blocks
  const count = (blocks.byteLength / type.bytes) * type.block
  const out = room(count, to, into)
  if (!nativeLibrary().native.valuesOfGgml(blocks, count, type.id, to === 'bf16' ? 1 : 0, out, threads))
    throw new Error(`no blocks of ${type.name} are read`)
  return out
}

/** Read where the system has the file, by every thread: no copy of the blocks is made. */
export function blocksOfFile(
  threads: number,
  ...[{ path, offset, bytes }, type, to, into]: Parameters<NonNullable<BlockReader['ofFile']>>
): boolean {
  const { native } = nativeLibrary()
  const file = mapFile(native, path)
  if (!file) return false
  try {
    const count = (bytes / type.bytes) * type.block
    const out = room(count, to, into)
    return (
      offset + bytes <= file.bytes &&
      Boolean(native.valuesOfGgml(file.address + BigInt(offset), count, type.id, to === 'bf16' ? 1 : 0, out, threads))
    )
  } finally {
    native.unmap(file.address, file.bytes)
  }
}

function room(count: number, to: 'f32' | 'bf16', into: Uint8Array = new Uint8Array(count * (to === 'f32' ? 4 : 2))): Uint8Array {
  const bytes = count * (to === 'f32' ? 4 : 2)
  if (into.byteLength !== bytes) throw new Error(`${into.byteLength} bytes given where ${bytes} belong`)
  return into
}
