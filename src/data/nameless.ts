/** A file of nobody's, for what is larger than memory: it has no name, and goes with the process, however that ends. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, makeFolder } from '../hub/files.ts'
import { preparedRowsFolder } from '../hub/places.ts'

/** bytes written at once */
const CHUNK = 1 << 20

let files = 0

export class NamelessFile {
  readonly fd: number
  readonly #path: string
  #waiting: Uint8Array[] = []
  #bytes = 0
  /** bytes that were added */
  length = 0

  /** @param what a word that it is called by in messages. @throws SaqrError FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE */
  constructor(what: string) {
    const path = join(preparedRowsFolder(), `.${what}-${process.pid}-${files++}`)
    this.#path = path
    this.fd = this.#guarded(() => {
      makeFolder(preparedRowsFolder())
      const fd = openSync(path, 'w+')
      try {
        rmSync(path) // what is open stays until the process ends
      } catch (error) {
        closeSync(fd)
        throw error
      }
      return fd
    })
  }

  /** @throws SaqrError FORMAT_DISK_FULL, FORMAT_FILE */
  add(bytes: Uint8Array): void {
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    this.length += bytes.length
    if (this.#bytes >= CHUNK) this.flush()
  }

  /** Everything that was added can be read. */
  flush(): void {
    const all = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting)
    this.#guarded(() => {
      for (let at = 0; at < all.length; ) at += writeSync(this.fd, all, at)
    })
    this.#waiting = []
    this.#bytes = 0
  }

  #guarded<T>(action: () => T): T {
    try {
      return action()
    } catch (cause) {
      throw fileError(cause, this.#path, 'write')
    }
  }
}
