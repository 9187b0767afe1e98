/**
 * The algorithms that cuBLASLt named, kept in the user's cache: to name one takes it milliseconds a shape. The bytes of a cublasLtMatmulAlgo_t may be
 * stored and used again by the same library (cuBLAS documentation, cublasLtMatmulAlgo_t); here for the same card too.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isObject } from '../../formats/json.ts'
import { isFile, writeCacheFile } from '../../hub/files.ts'
import { readJson } from '../../hub/json.ts'
import { cacheFolder } from './compiler.ts'

/** sizeof(cublasLtMatmulAlgo_t) */
const BYTES = 64
/** after the last one that was new: a pass of another size brings many at once */
const SETTLED_MS = 2000

export class Algorithms {
  readonly #path: string
  readonly #kept: Map<string, string>
  readonly #added = new Map<string, string>()
  #saving: NodeJS.Timeout | undefined
  readonly #atExit = () => this.save()

  /** @param of what they hold for: library and its version, card, workspace */
  constructor(of: string, folder = cacheFolder()) {
    this.#path = join(folder, `algorithms-${createHash('sha256').update(of).digest('hex').slice(0, 24)}.json`)
    this.#kept = this.#read()
    process.on('exit', this.#atExit) // a short run may end before they are saved
  }

  /** 64 bytes; undefined where the shape is new */
  get(shape: string): Uint8Array | undefined {
    const text = this.#added.get(shape) ?? this.#kept.get(shape)
    return text === undefined ? undefined : new Uint8Array(Buffer.from(text, 'base64'))
  }

  /** @param algorithm what begins with its 64 bytes */
  add(shape: string, algorithm: Uint8Array): void {
    this.#added.set(shape, Buffer.from(algorithm.subarray(0, BYTES)).toString('base64'))
    if (this.#saving) this.#saving.refresh()
    else this.#saving = setTimeout(() => this.save(), SETTLED_MS).unref()
  }

  save(): void {
    clearTimeout(this.#saving)
    this.#saving = undefined
    if (this.#added.size === 0) return
    try {
      // another process may have kept others meanwhile
      const algorithms = Object.fromEntries([...this.#read(), ...this.#added])
      writeCacheFile(this.#path, JSON.stringify({ digest: digestOf(algorithms), algorithms }))
      for (const [shape, text] of this.#added) this.#kept.set(shape, text)
      this.#added.clear()
    } catch {
      // a cache that can't be written only costs the next process its time
    }
  }

  dispose(): void {
    this.save()
    process.off('exit', this.#atExit)
  }

  #read(): Map<string, string> {
    try {
      const json = isFile(this.#path) ? readJson(this.#path) : null
      // one byte changed could be another algorithm: right too, but with other bits
      if (isObject(json) && isObject(json.algorithms) && json.digest === digestOf(json.algorithms))
        return new Map(Object.entries(json.algorithms as Record<string, string>))
    } catch {
      // a damaged cache is made anew
    }
    return new Map()
  }
}

const digestOf = (algorithms: Record<string, unknown>) => createHash('sha256').update(JSON.stringify(algorithms)).digest('hex')
