/** Where examples go as they are made: into memory, or into a file of nobody's that goes with the process, from which each is read when it is asked for. */
import { closeSync } from 'node:fs'
import type { Example, Place } from './example.ts'
import { lazyList } from './lazy-list.ts'
import { NamelessFile } from './nameless.ts'
import { Records } from './records.ts'
import { Spans } from './spans.ts'

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

/** int32 numbers before an example: tokens, number of its row, sequences or −1, prompts or −1, 1 wanted, 0 not, −1 not rated */
const HEAD = 5

/** @throws SaqrError FORMAT_DISK_FULL, FORMAT_PERMISSION, FORMAT_FILE */
export function onDisk(source: string): ExampleStore {
  const file = new NamelessFile('examples')
  const spans = new Spans()
  let listed = false
  return {
    add(example) {
      const from = file.length
      file.add(encode(example))
      spans.add(from, file.length)
    },
    list() {
      file.flush()
      const { length } = spans
      listed = true // from here on it is the records' to close
      const records = new Records(file.fd, source, (i) => spans.at(i), true)
      const of = { length }
      return lazyList(length, (i) => decode(records.read(i), source, { of, i }))
    },
    discard() {
      if (!listed) closeSync(file.fd)
      listed = true
    },
  }
}

/** As long as a multiple of four bytes: numbers stand where they can be read in place. */
function encode({ ids, targets, row, starts, prompts, wanted }: Example): Uint8Array {
  const lists = [starts ?? [], prompts ?? [], ids]
  const numbers = lists.reduce((n, { length }) => n + length, HEAD)
  const bytes = new Uint8Array(4 * (numbers + Math.ceil(targets.length / 4)))
  const all = new Int32Array(bytes.buffer, 0, numbers)
  all.set([ids.length, row, starts?.length ?? -1, prompts?.length ?? -1, wanted === undefined ? -1 : Number(wanted)])
  let at = HEAD
  for (const list of lists) {
    all.set(list, at)
    at += list.length
  }
  bytes.set(targets, 4 * numbers)
  return bytes
}

function decode(bytes: Uint8Array, source: string, place: Place): Example {
  const all = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const [tokens, row, sequences, asked, wanted] = all as unknown as [number, number, number, number, number]
  let at = HEAD
  const next = (n: number) => all.subarray(at, (at += Math.max(0, n)))
  const [starts, prompts, ids] = [next(sequences), next(asked), next(tokens)]
  return {
    ids,
    targets: bytes.subarray(4 * at, 4 * at + tokens),
    row,
    source,
    ...(sequences < 0 ? {} : { starts }),
    ...(asked < 0 ? {} : { prompts: [...prompts] }),
    ...(wanted < 0 ? {} : { wanted: wanted === 1 }),
    place,
  }
}
