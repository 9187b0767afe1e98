/** How long rows are, and which of them say the same. */
import type { Counts } from './counts.ts'

export interface Bin {
  /** lengths from … to below `to`; null: and above */
  from: number
  to: number | null
  rows: number
  /** of its rows; 0: there are none */
  longest: number
}

export interface Lengths {
  total: number
  shortest: number
  median: number
  mean: number
  /** 95 of 100 rows are not longer */
  p95: number
  longest: number
  histogram: Bin[]
}

const BINS = 12

/** Of at least one row. */
export function lengthsOf(lengths: Counts): Lengths {
  const sorted = lengths.sorted()
  const at = (share: number) => {
    let left = Math.max(1, Math.ceil(share * lengths.length))
    return sorted.find(([, rows]) => (left -= rows) <= 0)![0]
  }
  const total = sorted.reduce((sum, [n, rows]) => sum + n * rows, 0)
  return {
    total,
    shortest: sorted[0]![0],
    median: at(0.5),
    mean: total / lengths.length,
    p95: at(0.95),
    longest: sorted.at(-1)![0],
    histogram: histogramOf(sorted, at(0.99)),
  }
}

/** Bins of a round width from the shortest up to `usual`; what is longer is in the last one, so that a single long row leaves the others apart. */
function histogramOf(sorted: readonly (readonly [length: number, rows: number])[], usual: number): Bin[] {
  const shortest = sorted[0]![0]
  const width = roundUp((usual - shortest + 1) / BINS)
  const start = Math.floor(shortest / width) * width
  const count = Math.floor((usual - start) / width) + 1
  const bins: Bin[] = Array.from({ length: count }, (_, i) => ({
    from: start + i * width,
    to: start + (i + 1) * width,
    rows: 0,
    longest: 0,
  }))
  const end = start + count * width
  if (sorted.at(-1)![0] >= end) bins.push({ from: end, to: null, rows: 0, longest: 0 })
  for (const [n, rows] of sorted) {
    const bin = bins[Math.min(Math.floor((n - start) / width), bins.length - 1)]!
    bin.rows += rows
    bin.longest = n // they come in order
  }
  return bins
}

/** the next of 1, 2, 5, 10, 20 … */
function roundUp(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n))
  return Math.max(1, ([1, 2, 5, 10].find((step) => step * power >= n) ?? 10) * power)
}

/** bytes of a key by which a row is known */
export const KEY_BYTES = 16
const WORDS = KEY_BYTES / 4

/** Finds rows that say the same, by keys that are spread evenly: 24 to 32 bytes a row, however many there are. */
export class Repeats {
  readonly #keys: Uint32Array
  readonly #bytes: Uint8Array
  /** which row's key a place holds; −1: none. More than half are free */
  readonly #table: Int32Array
  #count = 0

  /** @param rows the most that come */
  constructor(rows: number) {
    this.#keys = new Uint32Array(WORDS * rows)
    this.#bytes = new Uint8Array(this.#keys.buffer)
    this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * rows + 1))).fill(-1)
  }

  /** Of the next row: the index of the first with the same key; −1: there is none. */
  firstLike(key: Uint8Array): number {
    const i = this.#count++
    this.#bytes.set(key.subarray(0, KEY_BYTES), KEY_BYTES * i)
    let place = this.#keys[WORDS * i]! % this.#table.length
    while (this.#table[place] !== -1 && !this.#equal(this.#table[place]!, i)) place = (place + 1) % this.#table.length
    const there = this.#table[place]!
    if (there === -1) this.#table[place] = i
    return there
  }

  #equal(i: number, k: number): boolean {
    for (let w = 0; w < WORDS; w++) if (this.#keys[WORDS * i + w] !== this.#keys[WORDS * k + w]) return false
    return true
  }
}
