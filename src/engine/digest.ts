/**
 * Digests of every value: of what is trained, as it is on the device, and of a checkpoint's weights, read from its files as they lie: 0.2 s of one core a gigabyte that the system has read before
 * (bench/results/base-digest.txt). Whether a run goes on over the base it began with, and whether kept scores are of it, hang on it.
 */
import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { setImmediate as immediate } from 'node:timers/promises'
import { DIGEST_CHUNK, digestsBeside, digestsOf } from '../devices/cpu/digest.ts'
import { SaqrError } from '../error.ts'
import { fileError } from '../formats/files.ts'
import { requireAsOpened, type StoredBytes, storedBytes } from '../formats/stored.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { Trainables } from './trainables.ts'

/** bytes read at once: whole chunks */
const PIECE = 4 * DIGEST_CHUNK
/** pieces on their way: the system reads them on as many threads as Node has for files */
const ON_THE_WAY = 4
/** values made at once where they lie in no file */
const VALUES = 2 ** 20

/** As they are now. */
export function digestOfTrained(trainables: Trainables): string {
  const hash = createHash('sha256')
  for (const name of trainables.names) {
    const { rows, cols } = trainables.shape(name)
    hash.update(`${name} ${rows}×${cols} `)
    for (const chunk of trainables.chunks(name)) hash.update(digestsOf(chunk))
  }
  return hash.digest('hex').slice(0, 32)
}

const digested = new WeakMap<Checkpoint, string>()

export interface Reading {
  signal?: AbortSignal | undefined
  /** true: others compute meanwhile, so it takes one thread and a piece at a time */
  beside?: boolean
}

/** @throws SaqrError FORMAT_… where a file can't be read any more, or is another than was opened; the signal's reason */
export async function digestOfBase(checkpoint: Checkpoint, reading: Reading = {}): Promise<string> {
  let found = digested.get(checkpoint)
  if (found === undefined) digested.set(checkpoint, (found = await digestOf(checkpoint, reading)))
  return found
}

/** of files that count as others from here on */
export const forgetDigest = (checkpoint: Checkpoint): boolean => digested.delete(checkpoint)

async function digestOf({ tensors }: Checkpoint, { signal, beside = false }: Reading): Promise<string> {
  const hash = createHash('sha256')
  const files = new Files(beside)
  requireAsOpened(tensors.values())
  try {
    for (const run of runsOf([...tensors.values()].sort((a, b) => (a.name < b.name ? -1 : 1)))) {
      if (Array.isArray(run)) await files.digest(run, hash, signal)
      else await digestValues(run, hash, signal)
    }
  } finally {
    await files.close()
  }
  requireAsOpened(tensors.values()) // what was read is what was opened
  return hash.digest('hex').slice(0, 32)
}

/** what is read one after the other, between tensors whose values are computed */
function* runsOf(tensors: readonly CheckpointTensor[]): Generator<(string | StoredBytes)[] | CheckpointTensor> {
  let run: (string | StoredBytes)[] = []
  for (const t of tensors) {
    const stored = storedBytes(t)
    run.push(`${t.name} ${t.shape.join('×')} ${t.dtype} ${t.storage} `)
    if (stored) run.push(...stored)
    else {
      yield run
      yield t
      run = []
    }
  }
  yield run
}

async function digestValues(t: CheckpointTensor, hash: Hash, signal: AbortSignal | undefined): Promise<void> {
  const count = Math.max(1, Math.floor(VALUES / t.cols))
  for (let row = 0; row < t.rows; row += count) {
    hash.update(digestsOf(t.load(t.dtype === 'bf16' ? 'bf16' : 'f32', row, Math.min(count, t.rows - row))))
    await immediate()
    signal?.throwIfAborted()
  }
}

/** Files read a piece at a time, some pieces ahead. */
class Files {
  readonly #open = new Map<string, Promise<FileHandle>>()
  readonly #beside: boolean

  constructor(beside: boolean) {
    this.#beside = beside
  }

  async digest(run: readonly (string | StoredBytes)[], hash: Hash, signal: AbortSignal | undefined): Promise<void> {
    const buffers = Array.from({ length: this.#beside ? 1 : ON_THE_WAY }, () => new Uint8Array(PIECE))
    const pieces = piecesOf(run)
    const reading: Promise<string | Uint8Array>[] = []
    const begin = (buffer: Uint8Array) => {
      const { value, done } = pieces.next()
      if (done) return
      const read = typeof value === 'string' ? Promise.resolve(value) : this.#read(value, buffer)
      read.catch(() => {}) // told where it is waited for
      reading.push(read)
    }
    for (const buffer of buffers) begin(buffer)
    for (let i = 0; reading.length > 0; i = (i + 1) % buffers.length) {
      const bytes = await reading.shift()!
      signal?.throwIfAborted()
      hash.update(typeof bytes === 'string' ? bytes : this.#beside ? await digestsBeside(bytes) : digestsOf(bytes))
      begin(buffers[i]!)
    }
  }

  async #read({ path, offset, bytes }: StoredBytes, buffer: Uint8Array): Promise<Uint8Array> {
    try {
      let file = this.#open.get(path)
      if (!file) this.#open.set(path, (file = open(path, 'r')))
      const handle = await file
      for (let at = 0; at < bytes; ) {
        const { bytesRead } = await handle.read(buffer, at, bytes - at, offset + at)
        if (bytesRead === 0) throw new SaqrError('FORMAT_TRUNCATED', `${path} ends at byte ${offset + at}: it was cut since it was opened.`)
        at += bytesRead
      }
      return buffer.subarray(0, bytes)
    } catch (cause) {
      throw fileError(cause, path, 'read')
    }
  }

  /** after what still reads, into memory that goes */
  async close(): Promise<void> {
    for (const file of this.#open.values())
      await file.then(
        (handle) => handle.close(),
        () => {},
      )
  }
}

function* piecesOf(run: readonly (string | StoredBytes)[]): Generator<string | StoredBytes> {
  for (const one of run) {
    if (typeof one === 'string') yield one
    else
      for (let at = 0; at < one.bytes; at += PIECE)
        yield { path: one.path, offset: one.offset + at, bytes: Math.min(PIECE, one.bytes - at) }
  }
}
