/**
 * Writes to an open file, one after the other, while what comes next is made; now and then the disk is told to take what the system holds for it, so
 * that a flush at the end of gigabytes has little left to wait for.
 */
import { fdatasync, write } from 'node:fs'

export class WriteBehind {
  readonly #fd: number
  readonly #between: number
  #writing: Promise<unknown> = Promise.resolve()
  #flushing: Promise<unknown> = Promise.resolve()
  #unflushed = 0

  /** `between`: bytes that are written between two flushes */
  constructor(fd: number, between = 1 << 28) {
    this.#fd = fd
    this.#between = between
  }

  /** Waits for what was given before, which may be written over then. @throws the file system's error */
  async give(bytes: Uint8Array): Promise<void> {
    await this.#written()
    this.#writing = failure(writeAll(this.#fd, bytes))
    this.#unflushed += bytes.length
    if (this.#unflushed < this.#between) return
    await this.#flushed() // what is made is no faster than the disk: it would fill memory
    this.#unflushed = 0
    this.#flushing = failure(flush(this.#fd))
  }

  /** Nothing uses the file any more once this is through, whether it throws or not. */
  async end(): Promise<void> {
    await Promise.all([this.#writing, this.#flushing])
    await this.#written()
    await this.#flushed()
  }

  async #written(): Promise<void> {
    const failed = await this.#writing
    if (failed !== undefined) throw failed
  }

  async #flushed(): Promise<void> {
    const failed = await this.#flushing
    if (failed !== undefined) throw failed
  }
}

/** what it failed with, kept until somebody asks */
const failure = (work: Promise<void>): Promise<unknown> => work.then(undefined, (cause: unknown) => cause)

/** One call may write less than asked for (a disk that fills up, 2 GiB at most). */
async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const count = await new Promise<number>((done, fail) => {
      write(fd, bytes, at, Math.min(bytes.length - at, 2 ** 30), null, (cause, written) => (cause ? fail(cause) : done(written)))
    })
    if (count === 0) throw Object.assign(new Error('nothing more could be written'), { code: 'ENOSPC' })
    at += count
  }
}

const flush = (fd: number) => new Promise<void>((done, fail) => fdatasync(fd, (cause) => (cause ? fail(cause) : done())))
