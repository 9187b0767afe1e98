/**
 * Which bytes of the arena are taken at which steps: a segment tree over steps whose nodes hold unions of byte ranges. Looking for the
 * lowest gap costs a few short unions, however many tensors lie there already (a 70B's pass has tens of thousands).
 */

/** disjoint ranges of bytes, ascending: start, end, start, end … */
type Ranges = number[]

export class Occupied {
  /** a power of two: the leaves are steps */
  readonly #leaves: number
  /** by node: ranges taken during all of its steps */
  readonly #whole: (Ranges | undefined)[] = []
  /** by node: ranges taken during any of its steps, by what doesn't reach beyond them */
  readonly #any: (Ranges | undefined)[] = []

  constructor(steps: number) {
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(1, steps)))
  }

  /** the lowest place of `bytes` that are free from step `from` to step `to` */
  gap(from: number, to: number, bytes: number): number {
    const taken: Ranges[] = []
    const see = (ranges: Ranges | undefined) => {
      if (ranges) taken.push(ranges)
    }
    this.#visit(from, to, 1, 0, this.#leaves, (node, inside) => {
      see(this.#whole[node])
      if (inside) see(this.#any[node])
    })
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
    this.#visit(from, to, 1, 0, this.#leaves, (node, inside) => {
      if (inside) add((this.#whole[node] ??= []), at, at + bytes)
      else add((this.#any[node] ??= []), at, at + bytes)
    })
  }

  /** the nodes that a span of steps meets: those it covers (inside; what lies below them isn't visited) and those above them */
  #visit(from: number, to: number, node: number, first: number, count: number, see: (node: number, inside: boolean) => void): void {
    if (to < first || from >= first + count) return
    const inside = from <= first && to >= first + count - 1
    see(node, inside)
    if (inside) return
    this.#visit(from, to, 2 * node, first, count / 2, see)
    this.#visit(from, to, 2 * node + 1, first + count / 2, count / 2, see)
  }
}

/** the union with one more range */
function add(ranges: Ranges, start: number, end: number): void {
  let first = 0
  while (first < ranges.length && ranges[first + 1]! < start) first += 2
  let last = first
  while (last < ranges.length && ranges[last]! <= end) last += 2
  if (last > first) {
    start = Math.min(start, ranges[first]!)
    end = Math.max(end, ranges[last - 1]!)
  }
  ranges.splice(first, last - first, start, end)
}
