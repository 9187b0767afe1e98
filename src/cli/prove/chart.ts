/** Two loss curves, or their difference below its limit, as SVG for the page, whose colours it takes. */
import { type Point, range, ticks } from '../../track/curve.ts'
import { escaped } from '../../track/svg.ts'

export interface Line {
  name: string
  /** of the page's style sheet */
  kind: 'trl' | 'saqr' | 'limit' | 'apart'
  points: readonly Point[]
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 300, 60, 16, 34, 40]

/** @param log is the y axis logarithmic? what isn't above 0 is then left out */
export function chart(title: string, lines: readonly Line[], log = false): string {
  const drawn = lines.map((line) => ({
    ...line,
    points: line.points.filter(({ y }) => Number.isFinite(y) && (!log || y > 0)).map(({ x, y }) => ({ x, y: log ? Math.log10(y) : y })),
  }))
  const all = drawn.flatMap(({ points }) => points)
  const x = range(all.length > 0 ? all.map((p) => p.x) : [0, 1])
  const seen = range(all.length > 0 ? all.map((p) => p.y) : [0, 1])
  const y = log ? { from: Math.floor(seen.from), to: Math.ceil(seen.to) } : seen
  const px = (v: number) => round(LEFT + ((v - x.from) / (x.to - x.from)) * (WIDTH - LEFT - RIGHT))
  const py = (v: number) => round(TOP + ((y.to - v) / (y.to - y.from)) * (HEIGHT - TOP - BOTTOM))
  const label = (v: number) => (log ? `1e${v}` : String(v))
  const yTicks = log ? ticks(y, 5).filter(Number.isInteger) : ticks(y, 5)
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    ...drawn.map(({ name, kind }, i) => {
      const at = LEFT + 170 * i
      return `<line class="${kind}" x1="${at}" x2="${at + 24}" y1="16" y2="16"/><text x="${at + 30}" y="20">${escaped(name)}</text>`
    }),
    ...yTicks.flatMap((v) => [
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(v)}" y2="${py(v)}"/>`,
      `<text class="end" x="${LEFT - 8}" y="${py(v) + 4}">${label(v)}</text>`,
    ]),
    ...ticks(x, 10)
      .filter(Number.isInteger)
      .map((v) => `<text class="mid" x="${px(v)}" y="${HEIGHT - BOTTOM + 18}">${v}</text>`),
    `<text class="mid" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}">step</text>`,
    ...drawn.map(({ kind, points }) => `<polyline class="${kind}" points="${points.map((p) => `${px(p.x)},${py(p.y)}`).join(' ')}"/>`),
    '</svg>',
  ].join('\n')
}

function round(n: number): number {
  return Math.round(n * 10) / 10
}
