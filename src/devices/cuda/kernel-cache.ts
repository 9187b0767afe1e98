/**
 * Compiled kernels on disk, each with a hash behind it: one that a crash, a full disk or another process left damaged is compiled anew, as the
 * driver refuses such a one without saying so, or takes it. Where nothing can be read or written (a home that is read-only, another user's folder)
 * kernels are compiled at each start.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensureWritableFolder, writeCacheFile } from '../../hub/files.ts'
import { cacheFolder } from '../../hub/places.ts'

/** bytes of the hash */
const HASH = 32
const hashOf = (code: Uint8Array) => createHash('sha256').update(code).digest()

export class KernelCache {
  readonly #folder: string | undefined

  /** @param folder undefined: the user's */
  constructor(folder?: string) {
    this.#folder = folder
  }

  /** @throws SaqrError HUB_HOME where no folder is known */
  get folder(): string {
    return this.#folder ?? join(cacheFolder(), 'cuda')
  }

  read(name: string): Uint8Array | null {
    try {
      const file = readFileSync(join(this.folder, name))
      const code = file.subarray(0, -HASH)
      return code.length > 0 && hashOf(code).equals(file.subarray(-HASH)) ? code : null
    } catch {
      return null
    }
  }

  write(name: string, code: Uint8Array): void {
    try {
      writeCacheFile(join(this.folder, name), Buffer.concat([code, hashOf(code)]))
    } catch {
      // the next start compiles it again; `saqr doctor` says so
    }
  }

  /** @throws SaqrError where kernels can't be kept: HUB_HOME, FORMAT_PERMISSION, FORMAT_DISK_FULL … */
  check(): void {
    ensureWritableFolder(this.folder)
  }
}
