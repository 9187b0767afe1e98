/** How far the preparing of rows, or their scoring, is: on a terminal one line that is drawn anew, elsewhere nothing. */
import type { RowProgress } from '../data/prepare.ts'
import { grouped } from './numbers.ts'

interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** seconds before the first drawing, and between two */
const PATIENCE = 0.5
const REDRAW = 0.1
const CLEAR = '\r\x1b[2K'

/** What draws on `out`; @param now seconds */
export function preparingLine(out: Output, now = () => performance.now() / 1000): (progress: RowProgress) => void {
  let of: string | undefined
  let drawn = 0
  let there = false
  return ({ doing = 'preparing', source, done, total }) => {
    if (!out.isTTY) return
    const at = now()
    if (of !== source) {
      of = source
      drawn = at + PATIENCE - REDRAW
    }
    if (done >= total) {
      if (there) out.write(CLEAR)
      there = false
      of = undefined
    } else if (at - drawn >= REDRAW) {
      drawn = at
      there = true
      out.write(`${CLEAR}${doing} ${source}: ${grouped(done)} of ${grouped(total)} rows`)
    }
  }
}
