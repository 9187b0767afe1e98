/** What tells bytes from others, made natively whatever device they are for: native/digest.cpp. */
import { callAsync } from '../ffi.ts'
import { nativeLibrary } from './library.ts'

/** bytes that have a digest of their own, of 16 bytes */
export const DIGEST_CHUNK = 2 ** 20

/** Of each chunk of `bytes` its digest, the same on every processor; no shield against who wants two to be alike. */
export function digestsOf(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 * Math.ceil(bytes.byteLength / DIGEST_CHUNK))
  if (out.length > 0) nativeLibrary().native.digest(bytes, bytes.byteLength, out)
  return out
}

/** The same by another thread: this one goes on. Nobody may write into `bytes` meanwhile. */
export async function digestsBeside(bytes: Uint8Array): Promise<Uint8Array> {
  const out = new Uint8Array(16 * Math.ceil(bytes.byteLength / DIGEST_CHUNK))
  if (out.length > 0) await callAsync(nativeLibrary().native.digest, bytes, bytes.byteLength, out)
  return out
}
