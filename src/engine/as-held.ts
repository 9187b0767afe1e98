/**
 * Whether a device holds what the files of a base say now: how a file that was only touched, or copied over itself, is told from another. When it was
 * written to says nothing of what stands in it.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import { digestsOf } from '../devices/cpu/digest.ts'
import type { Device, QuantSpec, StoreSource } from '../devices/device.ts'
import { readRange } from '../formats/files.ts'
import { bytesOf } from '../formats/numbers.ts'
import type { Checkpoint } from '../formats/tensor.ts'
import type { WeightSpec } from '../graph/trace.ts'
import { sizeOf } from '../ops/tensor.ts'
import { checkFinite, converted, find, storedAs, type WeightOptions } from './weights.ts'

/** bytes compared at once */
const CHUNK = 1 << 22

/** A weight as it was brought into the store. */
export interface Held {
  spec: WeightSpec
  /** a device gives back codes, not what they are scaled by; null: it has no scales */
  scales: string | null
}

/** Every number that codes are scaled by. */
export function scalesOf(quant: QuantSpec, elements: number): string {
  const blocks = Math.ceil(elements / quant.blocksize)
  const { nested } = quant
  const parts = [bytesOf(quant.codebook), bytesOfSource(quant.absmax, 0, nested ? blocks : 4 * blocks)]
  if (nested) parts.push(bytesOf(nested.code), bytesOfSource(nested.absmax, 0, 4 * Math.ceil(blocks / nested.blocksize)))
  const digests = parts.map((bytes) => Buffer.from(digestsOf(bytes)).toString('hex'))
  return [quant.blocksize, nested?.blocksize, nested?.offset, ...digests].join(' ')
}

/** Bytes [from, from + count) of what fills a place in the store. @throws SaqrError FORMAT_… */
function bytesOfSource(source: StoreSource, from: number, count: number): Uint8Array {
  if (source.kind === 'zero') return new Uint8Array(count)
  if (source.kind === 'data') return source.bytes.subarray(from, from + count)
  return readRange(source.path, source.offset + from, count)
}

/** @throws SaqrError FORMAT_…, MODEL_… where the files can't be read, or give no such weights; the signal's reason */
export async function isAsHeld(
  device: Device,
  checkpoint: Checkpoint,
  weights: Iterable<Held>,
  options: WeightOptions,
  signal?: AbortSignal,
): Promise<boolean> {
  for (const held of weights) {
    if (!(await device.turn(async () => isWeightAsHeld(device, checkpoint, held, options), signal))) return false
    await immediate()
    signal?.throwIfAborted()
  }
  return true
}

function isWeightAsHeld(device: Device, checkpoint: Checkpoint, { spec, scales }: Held, options: WeightOptions): boolean {
  const t = find(checkpoint, spec)
  if (spec.finite) checkFinite(checkpoint.path, t)
  const { source, quant, ...stored } = storedAs(t, spec, options)
  if ((quant ? scalesOf(quant, spec.rows * spec.cols) : null) !== scales) return false
  const isThere = (bytes: Uint8Array, at: number) => Buffer.compare(device.readStore(spec.name, at, bytes.byteLength), bytes) === 0
  if (source.kind === 'zero') {
    for (const { at, bytes } of converted(t, spec)) if (!isThere(bytes, at)) return false
    return true
  }
  const size = sizeOf(stored)
  for (let at = 0; at < size; at += CHUNK) if (!isThere(bytesOfSource(source, at, Math.min(CHUNK, size - at)), at)) return false
  return true
}
