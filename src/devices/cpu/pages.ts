/** Pages of the host's memory, huge where the system grants them, given at once and not when they are first used; and those of a file. */
import { toNamespacedPath } from 'node:path'
import { runnableThreads } from '../threads.ts'
import { type Native, nativeLibrary } from './library.ts'

/** null: the system refuses them, or hasn't that many: pages are promised freely, and who writes to more than there are is killed */
export function takePages(bytes: number): bigint | null {
  if (bytes > process.availableMemory()) return null
  const { native } = nativeLibrary()
  const at = native.alloc(bytes) as bigint | null
  if (!at) return null
  native.touch(at, bytes, runnableThreads())
  return at
}

export function givePagesBack(at: bigint, bytes: number): void {
  nativeLibrary().native.free(at, bytes)
}

/** A file's, to be read where the system has them; null where it refuses (`lastError` says why). */
export function mapFile(native: Native, path: string): { address: bigint; bytes: number } | null {
  const size = new BigUint64Array(1)
  // Windows takes paths of 260 characters and more, as a Hub cache has them, in a form of their own alone
  const address = native.mapFile(toNamespacedPath(path), size) as bigint | null
  return address ? { address, bytes: Number(size[0]) } : null
}
