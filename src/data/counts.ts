/** How often each number came, not in which order: what there is to know of the lengths of millions of rows, in a few thousand numbers. */
export class Counts {
  /** number -> how often it came */
  readonly times: Map<number, number>
  /** numbers that came */
  length = 0

  constructor(times: Iterable<readonly [number: number, times: number]> = []) {
    this.times = new Map(times)
    for (const n of this.times.values()) this.length += n
  }

  static of(numbers: Iterable<number>): Counts {
    const counts = new Counts()
    for (const n of numbers) counts.add(n)
    return counts
  }

  add(n: number): void {
    this.times.set(n, (this.times.get(n) ?? 0) + 1)
    this.length++
  }

  /** each number with how often it came, the least first */
  sorted(): [number: number, times: number][] {
    return [...this.times].sort(([a], [b]) => a - b)
  }

  /** those above a limit: how many, and by how much together */
  beyond(limit: number): { count: number; by: number } {
    const over = { count: 0, by: 0 }
    for (const [n, times] of this.times) {
      if (n <= limit) continue
      over.count += times
      over.by += times * (n - limit)
    }
    return over
  }
}
