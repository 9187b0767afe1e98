/** `train[:90%]+test[5:]`: which rows of which split, in the grammar of Hugging Face's `datasets`. */
import { SaqrError } from '../error.ts'

export interface SplitSlice {
  split: string
  /** bounds as written; negative ones count from the end */
  from: number | null
  to: number | null
  percent: boolean
  /** rows a percent is: rounded at each bound, or as many as all hundred parts have */
  rounding: 'closest' | 'pct1_dropremainder'
}

const part = /^([\w.-]+)(?:\[(?:(-?[\d_]+)(%?))?:(?:(-?[\d_]+)(%?))?\])?(?:\(([^)]*)\))?$/

/** @throws SaqrError OPTION_INVALID */
export function parseSplit(text: string): SplitSlice[] {
  return text.split(/\s*\+\s*/).map((one) => {
    const [whole, split, from, fromPercent, to, toPercent, rounding] = part.exec(one) ?? []
    const slice = whole?.includes('[')
    if (split === undefined)
      throw invalid(text, `${JSON.stringify(one)} is not a split or a slice of one like train[:90%] or train[100:200]`)
    const percent = Boolean(fromPercent || toPercent)
    const bounds = [from, to].map((bound) => (bound === undefined ? null : Number(bound.replaceAll('_', ''))))
    if (bounds.some((bound) => Number.isNaN(bound))) throw invalid(text, `${one} has a bound that is no number`)
    if (percent && bounds.some((bound) => bound !== null && Math.abs(bound) > 100))
      throw invalid(text, `${one} asks for more than 100 percent`)
    if (rounding !== undefined && (!percent || !slice || !['closest', 'pct1_dropremainder'].includes(rounding)))
      throw invalid(text, `${one}: a percentage is rounded by (closest) or (pct1_dropremainder)`)
    return { split, from: bounds[0]!, to: bounds[1]!, percent, rounding: (rounding ?? 'closest') as SplitSlice['rounding'] }
  })
}

/** [first, end) of the rows that a slice takes of a split. @throws SaqrError OPTION_INVALID */
export function sliceBounds({ split, from, to, percent, rounding }: SplitSlice, rows: number): [number, number] {
  if (percent && rounding === 'pct1_dropremainder' && rows < 100)
    throw invalid(`${split}[…%](pct1_dropremainder)`, `the split has only ${rows} rows, of which no part is whole`)
  const rowsOf = (bound: number) =>
    !percent ? bound : rounding === 'closest' ? halfToEven((bound * rows) / 100) : bound * Math.trunc(rows / 100)
  const place = (bound: number | null, fallback: number) => {
    const at = bound === null ? fallback : rowsOf(bound)
    return Math.min(at < 0 ? Math.max(rows + at, 0) : at, rows)
  }
  const [first, end] = [place(from, 0), place(to, rows)]
  return [first, Math.max(first, end)]
}

/** as Python rounds */
export function halfToEven(x: number): number {
  const floor = Math.floor(x)
  if (x - floor !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}

const invalid = (text: string, why: string) => new SaqrError('OPTION_INVALID', `the split ${text} can't be read: ${why}`)
