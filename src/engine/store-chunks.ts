/** Bytes of the store a part at a time: what is saved never lies in JavaScript whole. */
import type { Device } from '../devices/device.ts'

/** bytes read at once */
const CHUNK = 2 ** 20

/** `bytes` bytes of a store tensor from `from` on, in order. */
export function* storeChunks(device: Device, name: string, from: number, bytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += CHUNK) yield device.readStore(name, from + at, Math.min(CHUNK, bytes - at))
}

/** Saved bytes: an array, or a part of a file. */
export interface SavedBytes {
  readonly byteLength: number
  subarray(from: number, to: number): Uint8Array
}

/** Writes all of `saved` over a store tensor's bytes from `to` on. */
export function restoreChunks(device: Device, name: string, to: number, saved: SavedBytes): void {
  for (let at = 0; at < saved.byteLength; at += CHUNK)
    device.writeStore(name, saved.subarray(at, Math.min(at + CHUNK, saved.byteLength)), to + at)
}
