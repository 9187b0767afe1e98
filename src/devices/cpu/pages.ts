/** Pages of the host's memory, huge where the system grants them, given at once and not when they are first used. */
import { nativeLibrary } from './library.ts'
import { processors, usualThreads } from './processors.ts'

/** null: the system refuses them */
export function takePages(bytes: number): bigint | null {
  const { native } = nativeLibrary()
  const at = native.alloc(bytes) as bigint | null
  if (!at) return null
  native.touch(at, bytes, usualThreads(processors()))
  return at
}

export function givePagesBack(at: bigint, bytes: number): void {
  nativeLibrary().native.free(at, bytes)
}
