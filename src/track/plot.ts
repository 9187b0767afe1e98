/** A curve in a terminal: braille characters are 2 × 4 dots each. */

import { type Point, range } from './curve.ts'
import { significant } from './numbers.ts'

export interface PlotOptions {
  /** characters, axis included */
  width?: number
  height?: number
}

/** dot (column, row) of a braille cell -> bit, as Unicode numbers them */
const BITS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const

/** Lines of text; points are joined by straight lines. Points that are not finite are left out; no points: no lines. */
export function plot(points: readonly Point[], options: PlotOptions = {}): string[] {
  const finite = points.filter((p) => Number.isFinite(p.y))
  if (finite.length === 0) return []
  const { width = 72, height = 10 } = options
  const x = range(finite.map((p) => p.x))
  const y = range(finite.map((p) => p.y))
  const labels = Array.from({ length: height }, (_, i) =>
    i % 3 === 0 || i === height - 1 ? significant(y.to - ((y.to - y.from) * i) / (height - 1), 3) : '',
  )
  const margin = Math.max(...labels.map((label) => label.length))
  const columns = Math.max(8, width - margin - 2)
  const cells = Array.from({ length: height }, () => new Uint8Array(columns))
  const place = (p: Point) => ({
    i: Math.round(((p.x - x.from) / (x.to - x.from)) * (columns * 2 - 1)),
    j: Math.round(((y.to - p.y) / (y.to - y.from)) * (height * 4 - 1)),
  })
  let last = place(finite[0]!)
  for (const point of finite) {
    const next = place(point)
    const steps = Math.max(Math.abs(next.i - last.i), Math.abs(next.j - last.j), 1)
    for (let s = 0; s <= steps; s++) {
      const i = Math.round(last.i + ((next.i - last.i) * s) / steps)
      const j = Math.round(last.j + ((next.j - last.j) * s) / steps)
      cells[j >> 2]![i >> 1]! |= BITS[i & 1]![j & 3]!
    }
    last = next
  }
  const rows = cells.map((row, i) => `${labels[i]!.padStart(margin)} ┤${String.fromCodePoint(...[...row].map((bits) => 0x2800 + bits))}`)
  const from = String(finite[0]!.x)
  const to = String(finite.at(-1)!.x)
  return [
    ...rows,
    `${' '.repeat(margin + 1)}└${'─'.repeat(columns)}`,
    `${' '.repeat(margin + 2)}${from}${to.padStart(columns - from.length)}`,
  ]
}
