/** Pieces of an open file, read when they are asked for: one after the other in windows, any other by itself. */
import { closeSync, fstatSync } from 'node:fs'
import { SaqrError } from '../error.ts'
import { readExactly } from '../hub/files.ts'

/** bytes of a window */
const WINDOW = 1 << 20

const closing = new FinalizationRegistry<number>((fd) => closeSync(fd))

export class Records {
  readonly #fd: number
  readonly #path: string
  readonly #bounds: (i: number) => readonly [from: number, to: number]
  /** when it was written to; null: that says nothing */
  readonly #changed: number | null
  #window: { from: number; bytes: Uint8Array } = { from: 0, bytes: new Uint8Array(0) }
  #last = -1

  /**
   * @param fd is closed when nobody holds the records any more
   * @param own nobody else can write to the file
   */
  constructor(fd: number, path: string, bounds: (i: number) => readonly [from: number, to: number], own = false) {
    closing.register(this, fd) // first: what is thrown below lets go of it too
    this.#fd = fd
    this.#path = path
    this.#bounds = bounds
    this.#changed = own ? null : fstatSync(fd).mtimeMs
  }

  /** The bytes of record `i`: nobody else writes them. @throws SaqrError DATA_CHANGED where the file has been written since */
  read(i: number): Uint8Array {
    const [from, to] = this.#bounds(i)
    const inRow = i === this.#last + 1
    this.#last = i
    const { from: begin, bytes } = this.#window
    if (from >= begin && to <= begin + bytes.length) return bytes.subarray(from - begin, to - begin)
    const { size, mtimeMs } = fstatSync(this.#fd)
    if (this.#changed !== null && mtimeMs !== this.#changed)
      throw new SaqrError('DATA_CHANGED', `${this.#path} was written to while its rows were read. Start again once it stays as it is.`)
    if (!inRow) return readExactly(this.#fd, this.#path, from, to - from)
    const read = readExactly(this.#fd, this.#path, from, Math.max(to - from, Math.min(WINDOW, size - from)))
    this.#window = { from, bytes: read }
    return read.subarray(0, to - from)
  }
}

/** Numbers that come one by one, up to 2^53, 8 bytes each. */
export class Growing {
  #numbers = new Float64Array(1 << 12)
  length = 0

  push(n: number): void {
    if (this.length === this.#numbers.length) {
      const more = new Float64Array(2 * this.length)
      more.set(this.#numbers)
      this.#numbers = more
    }
    this.#numbers[this.length++] = n
  }

  at(i: number): number {
    return this.#numbers[i]!
  }
}
