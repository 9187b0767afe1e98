/** Points of a curve, and what drawing them needs. */

export interface Point {
  x: number
  y: number
}

/** Smallest and largest; widened where they are the same, so that it can be divided by. */
export function range(values: readonly number[]): { from: number; to: number } {
  let from = Number.POSITIVE_INFINITY
  let to = Number.NEGATIVE_INFINITY
  for (const value of values) {
    from = Math.min(from, value)
    to = Math.max(to, value)
  }
  return from < to ? { from, to } : { from: from - 0.5, to: to + 0.5 }
}

/** About `count` round numbers (1, 2 or 5 times a power of ten apart) that cover a range. */
export function ticks({ from, to }: { from: number; to: number }, count: number): number[] {
  const rough = (to - from) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power
  const found: number[] = []
  // multiples of the step, so that 0.30000000000000004 does not come up: the division undoes the error of the product
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)))
  return found
}

/** Mean over each point and up to `reach` neighbours on both sides, as many on one as on the other: no lag, and the ends stay. */
export function smoothed(points: readonly Point[], reach: number): Point[] {
  const sums = [0]
  for (const { y } of points) sums.push(sums.at(-1)! + y)
  return points.map(({ x }, i) => {
    const r = Math.min(reach, i, points.length - 1 - i)
    return { x, y: (sums[i + r + 1]! - sums[i - r]!) / (2 * r + 1) }
  })
}
