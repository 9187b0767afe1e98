/** Where examples go as they are made: into memory, or into a file of nobody's that goes with the process, from which each is read when it is asked for. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, makeFolder } from '../hub/files.ts'
import { preparedRowsFolder } from '../hub/places.ts'
import type { Example } from './example.ts'
import { lazyList } from './lazy-list.ts'
import { Growing, Records } from './records.ts'

export interface ExampleStore {
  add(example: Example): void
  /** all that were added; nothing is added after */
  list(): readonly Example[]
  /** frees what it holds where no list was made of it */
  discard(): void
}

export function inMemory(): ExampleStore {
  const examples: Example[] = []
  return { add: (example) => examples.push(example), list: () => examples, discard: () => {} }
}

/** int32 numbers before an example: tokens, number of its row, sequences or −1 */
const HEAD = 3
/** bytes written at once */
const CHUNK = 1 << 20

let stores = 0

/** @throws SaqrError FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE */
export function onDisk(source: string): ExampleStore {
  const path = join(preparedRowsFolder(), `.examples-${process.pid}-${stores++}`)
  const fd = guarded(path, () => {
    makeFolder(preparedRowsFolder())
    const fd = openSync(path, 'w+')
    rmSync(path) // what is open stays until the process ends, however it does
    return fd
  })
  const begins = new Growing()
  let end = 0
  let waiting: Uint8Array[] = []
  let bytes = 0
  let listed = false
  const flush = () => {
    const all = Buffer.concat(waiting)
    guarded(path, () => {
      for (let at = 0; at < all.length; ) at += writeSync(fd, all, at)
    })
    waiting = []
    bytes = 0
  }
  return {
    add(example) {
      const record = encode(example)
      begins.push(end)
      end += record.length
      waiting.push(record)
      bytes += record.length
      if (bytes >= CHUNK) flush()
    },
    list() {
      flush()
      const { length } = begins
      listed = true // from here on it is the records' to close
      const records = new Records(fd, path, (i) => [begins.at(i), i + 1 < length ? begins.at(i + 1) : end], true)
      return lazyList(length, (i) => decode(records.read(i), source))
    },
    discard() {
      if (!listed) closeSync(fd)
      listed = true
    },
  }
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (cause) {
    throw fileError(cause, path, 'write')
  }
}

/** As long as a multiple of four bytes: numbers stand where they can be read in place. */
function encode({ ids, targets, row, starts }: Example): Uint8Array {
  const numbers = HEAD + (starts?.length ?? 0) + ids.length
  const bytes = new Uint8Array(4 * (numbers + Math.ceil(targets.length / 4)))
  const all = new Int32Array(bytes.buffer, 0, numbers)
  all.set([ids.length, row, starts?.length ?? -1])
  if (starts) all.set(starts, HEAD)
  all.set(ids, numbers - ids.length)
  bytes.set(targets, 4 * numbers)
  return bytes
}

function decode(bytes: Uint8Array, source: string): Example {
  const all = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const [tokens, row, sequences] = all as unknown as [number, number, number]
  const first = HEAD + Math.max(0, sequences)
  const targets = bytes.subarray(4 * (first + tokens), 4 * (first + tokens) + tokens)
  const example = { ids: all.subarray(first, first + tokens), targets, row, source }
  return sequences < 0 ? example : { ...example, starts: all.subarray(HEAD, first) }
}
