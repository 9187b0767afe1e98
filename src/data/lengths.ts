/** How long rows are, and which of them say the same. */

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
export function lengthsOf(lengths: ArrayLike<number>): Lengths {
  const sorted = Float64Array.from(lengths).sort()
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
  const total = sorted.reduce((sum, n) => sum + n, 0)
  return {
    total,
    shortest: sorted[0]!,
    median: at(0.5),
    mean: total / sorted.length,
    p95: at(0.95),
    longest: sorted.at(-1)!,
    histogram: histogramOf(sorted, at(0.99)),
  }
}

/** Bins of a round width from the shortest up to `usual`; what is longer is in the last one, so that a single long row leaves the others apart. */
function histogramOf(sorted: Float64Array, usual: number): Bin[] {
  const shortest = sorted[0]!
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
  if (sorted.at(-1)! >= end) bins.push({ from: end, to: null, rows: 0, longest: 0 })
  for (const n of sorted) {
    const bin = bins[Math.min(Math.floor((n - start) / width), bins.length - 1)]!
    bin.rows++
    bin.longest = n // they come in order
  }
  return bins
}

/** the next of 1, 2, 5, 10, 20 … */
function roundUp(n: number): number {
  const power = 10 ** Math.floor(Math.log10(n))
  return Math.max(1, ([1, 2, 5, 10].find((step) => step * power >= n) ?? 10) * power)
}

/** For each key the index of the first that equals it, where that is not itself; else −1. */
export function repeats(keys: readonly string[]): Int32Array {
  const first = new Map<string, number>()
  return Int32Array.from(keys, (key, i) => {
    const there = first.get(key)
    if (there === undefined) first.set(key, i)
    return there ?? -1
  })
}
