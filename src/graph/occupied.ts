/**
 * Which bytes of the arena are taken at which steps: a segment tree over steps whose nodes hold unions of byte ranges. Looking for the
 * lowest gap costs a few short unions, however many tensors lie there already (a 70B's pass has tens of thousands).
 */

/** disjoint ranges of bytes, ascending: start, end, start, end … */
type Ranges = number[]

export class Occupied {
  /** a power of two: the leaves are steps, node n's children 2n and 2n + 1 */
  readonly #leaves: number
  /** by node: ranges taken during all of its steps */
  readonly #whole: (Ranges | undefined)[]
  /** by node: ranges taken during any of its steps, by what doesn't reach beyond them */
  readonly #any: (Ranges | undefined)[]
  /** of the span at hand: nodes that it covers whose parents it doesn't, and nodes of which it covers a part */
  readonly #covered: number[] = []
  readonly #partly: number[] = []

  constructor(steps: number) {
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(1, steps)))
    this.#whole = Array(2 * this.#leaves)
    this.#any = Array(2 * this.#leaves)
  }

  /** the lowest place of `bytes` that are free from step `from` to step `to` */
  gap(from: number, to: number, bytes: number): number {
    this.#visit(from, to)
    const taken: Ranges[] = []
    for (const node of this.#partly) if (this.#whole[node]) taken.push(this.#whole[node])
    for (const node of this.#covered) {
      if (this.#whole[node]) taken.push(this.#whole[node])
      if (this.#any[node]) taken.push(this.#any[node])
    }
    const next = new Int32Array(taken.length) // of each list the first range that isn't behind: the place only moves up
    let at = 0
    for (let moved = true; moved; ) {
      moved = false
      for (let l = 0; l < taken.length; l++) {
        const ranges = taken[l]!
        let i = next[l]!
        while (i < ranges.length && ranges[i]! < at + bytes) {
          if (ranges[i + 1]! > at) {
            at = ranges[i + 1]!
            moved = true
          }
          i += 2
        }
        next[l] = i
      }
    }
    return at
  }

  take(from: number, to: number, at: number, bytes: number): void {
    this.#visit(from, to)
    for (const node of this.#covered) add((this.#whole[node] ??= []), at, at + bytes)
    for (const node of this.#partly) add((this.#any[node] ??= []), at, at + bytes)
  }

  /** up from both ends of the span: what it covers a part of holds one of them */
  #visit(from: number, to: number): void {
    this.#covered.length = 0
    this.#partly.length = 0
    let [left, right] = [from + this.#leaves, to + this.#leaves]
    let [first, last] = [left, right]
    for (; first <= last; first >>= 1, last >>= 1) {
      if (first % 2 === 1) this.#covered.push(first++)
      if (last % 2 === 0) this.#covered.push(last--)
    }
    const isPart = (node: number, steps: number) => node * steps < from + this.#leaves || (node + 1) * steps - 1 > to + this.#leaves
    for (let steps = 2; steps <= this.#leaves; steps *= 2) {
      left >>= 1
      right >>= 1
      if (isPart(left, steps)) this.#partly.push(left)
      if (right !== left && isPart(right, steps)) this.#partly.push(right)
    }
  }
}

/** the union with one more range */
function add(ranges: Ranges, start: number, end: number): void {
  let first = 0
  // the first that ends at `start` or later
  for (let until = ranges.length / 2; first < until; ) {
    const middle = (first + until) >> 1
    if (ranges[2 * middle + 1]! < start) first = middle + 1
    else until = middle
  }
  first *= 2
  let last = first
  while (last < ranges.length && ranges[last]! <= end) last += 2
  if (last === first) {
    ranges.splice(first, 0, start, end)
    return
  }
  // joined with those it touches
  ranges[first] = Math.min(start, ranges[first]!)
  ranges[first + 1] = Math.max(end, ranges[last - 1]!)
  if (last > first + 2) ranges.splice(first + 2, last - first - 2)
}
