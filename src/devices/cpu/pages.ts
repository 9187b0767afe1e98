/** Pages of the host's memory, huge where the system grants them, given at once and not when they are first used. */
import { runnableThreads } from '../threads.ts'
import { nativeLibrary } from './library.ts'

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
