/** A loss curve as an SVG file: every log as a faint line, their moving mean over it, evaluations as dots. */
import { type Point, range, smoothed, ticks } from './curve.ts'

export interface CurveSvg {
  title: string
  /** (step, loss) of every log */
  train: readonly Point[]
  /** (step, loss) of every evaluation */
  evaluation?: readonly Point[]
}

const WIDTH = 720
const HEIGHT = 400
const LEFT = 64
const RIGHT = 20
const TOP = 48
const BOTTOM = 44

/** Colours follow the reader's light or dark theme. Points that are not finite are left out. */
export function lossCurveSvg({ title, train, evaluation = [] }: CurveSvg): string {
  const logs = train.filter((p) => Number.isFinite(p.y))
  const evals = evaluation.filter((p) => Number.isFinite(p.y))
  const all = [...logs, ...evals]
  const x = range(all.length > 0 ? all.map((p) => p.x) : [0, 1])
  const y = range(all.length > 0 ? all.map((p) => p.y) : [0, 1])
  const px = (v: number) => round(LEFT + ((v - x.from) / (x.to - x.from)) * (WIDTH - LEFT - RIGHT))
  const py = (v: number) => round(TOP + ((y.to - v) / (y.to - y.from)) * (HEIGHT - TOP - BOTTOM))
  const line = (points: readonly Point[]) => points.map((p) => `${px(p.x)},${py(p.y)}`).join(' ')
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>`,
    `<text class="title" x="${LEFT}" y="28">${escaped(title)}</text>`,
    ...ticks(y, 5).flatMap((v) => [
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(v)}" y2="${py(v)}"/>`,
      `<text class="y" x="${LEFT - 8}" y="${py(v) + 4}">${v}</text>`,
    ]),
    ...ticks(x, 8).map((v) => `<text class="x" x="${px(v)}" y="${HEIGHT - BOTTOM + 20}">${v}</text>`),
    `<text class="x" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}">step</text>`,
    `<polyline class="raw" points="${line(logs)}"/>`,
    `<polyline class="mean" points="${line(smoothed(logs, Math.round(logs.length / 25)))}"/>`,
    ...evals.map((p) => `<circle class="eval" cx="${px(p.x)}" cy="${py(p.y)}" r="4"/>`),
    '</svg>',
    '',
  ].join('\n')
}

const STYLE = [
  'text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:16px;font-weight:600;fill:#1f2328}',
  '.y{text-anchor:end}.x{text-anchor:middle}.paper{fill:#fff}.grid{stroke:#d0d7de}',
  'polyline{fill:none;stroke:#0969da;stroke-linejoin:round}.raw{opacity:.3}.mean{stroke-width:2.5}.eval{fill:#bc4c00}',
  '@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}.paper{fill:#0d1117}.grid{stroke:#3d444d}',
  'polyline{stroke:#4493f8}.eval{fill:#f0883e}}',
].join('')

function round(n: number): number {
  return Math.round(n * 10) / 10
}

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
}
