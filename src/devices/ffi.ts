/** Calls into shared libraries: koffi, through the package of this platform (it needs no install script). */
import { SaqrError } from '../error.ts'
import { exportsOf, missingPackage, remedyFor } from './packages.ts'
import { PLATFORMS, platformHere } from './platforms.ts'

export type Address = bigint | number
/** A function of a library; `.async(…args, callback)` runs it on a thread of the pool. */
export interface ForeignFunction {
  (...args: unknown[]): unknown
  async(...args: unknown[]): void
}
export interface Library {
  func(signature: string): ForeignFunction
}
interface Koffi {
  load(path: string, options?: { lazy?: boolean; global?: boolean }): Library
  /** native memory as an ArrayBuffer, without a copy */
  view(address: Address, bytes: number): ArrayBuffer
  /** where a buffer of JavaScript's lies: it stays there */
  address(buffer: ArrayBuffer): bigint
}

/** its version, that of package.json */
export const KOFFI = '3.3.4'

let loaded: Koffi | undefined

export function ffi(): Koffi {
  if (loaded) return loaded
  const platform = platformHere()
  const name = `@koromix/koffi-${platform.koffi}`
  try {
    return (loaded = exportsOf('koffi', platform.name) as Koffi)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND')
      throw missingPackage('DEVICE_FFI', {
        name,
        version: KOFFI,
        what: 'by which saqr calls its kernels',
        others: PLATFORMS.map(({ koffi }) => `@koromix/koffi-${koffi}`),
      })
    const said = (cause as Error).message
    throw new SaqrError('DEVICE_FFI', [`${name} can't be opened: ${said.replace(/\.$/, '')}`, remedyFor(said)].filter(Boolean).join('. '), {
      cause,
    })
  }
}

/** Native memory as an ArrayBuffer, without a copy; undefined in a runtime that has none of memory that isn't its own (Electron's memory cage). */
export function viewOf(address: Address, bytes: number): ArrayBuffer | undefined {
  try {
    return ffi().view(address, bytes)
  } catch (error) {
    if (/external buffers/i.test((error as Error).message)) return undefined
    throw error
  }
}

/** Promise of an asynchronous foreign call. */
export function callAsync(f: ForeignFunction, ...args: unknown[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    f.async(...args, (error: Error | null, result: unknown) => (error ? reject(error) : resolve(result)))
  })
}
