/** How far downloads and uploads are: on a terminal one line that is drawn anew, elsewhere one line when something large begins to come. */
import type { HubProgress, HubWait } from './places.ts'

interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** seconds between two drawings, and those a rate is taken over at least */
const REDRAW = 0.1
const SETTLED = 0.5
const CLEAR = '\r\x1b[2K'

/** What draws on `out`; @param now seconds */
export function progressLine(out: Output, now = () => performance.now() / 1000, doing = 'fetching'): (progress: HubProgress) => void {
  let began: { at: number; bytes: number } | undefined
  let drawn = Number.NEGATIVE_INFINITY
  return ({ file, done, total, allDone, allTotal }) => {
    // what is in the cache already comes whole and at once
    if (!began && (done === 0 || done >= total)) return
    const at = now()
    if (!began) {
      began = { at, bytes: allDone }
      if (!out.isTTY) out.write(`${doing} ${file}: ${size(allTotal - allDone)} to ${doing === 'fetching' ? 'come' : 'go'}\n`)
    }
    if (!out.isTTY) return
    if (allDone >= allTotal) {
      out.write(CLEAR)
      began = undefined
    } else if (at - drawn >= REDRAW) {
      drawn = at
      out.write(`${CLEAR}${doing} ${file}  ${line(allDone, allTotal, at - began.at, allDone - began.bytes)}`)
    }
  }
}

/** What is waited for, a line each time, on `out`. */
export function waitLine(out: Output): (wait: HubWait) => void {
  return ({ why, seconds, left }) => {
    const times = left === 1 ? 'once more' : `up to ${left} times more`
    out.write(`${out.isTTY ? CLEAR : ''}${why} It is tried ${times}, in ${Number(seconds.toPrecision(2))} s …\n`)
  }
}

/** What a command shows of the Hub. */
export function shownOf(out: Output, doing?: string) {
  return { onProgress: progressLine(out, undefined, doing), onWait: waitLine(out) }
}

/** "45 % of 269 MB  12.3 MB/s  ETA 0:14" */
function line(done: number, total: number, seconds: number, bytes: number): string {
  const parts = [`${Math.floor((100 * done) / total)} % of ${size(total)}`]
  if (seconds >= SETTLED && bytes > 0) {
    const rate = bytes / seconds
    parts.push(`${size(rate)}/s`, `ETA ${clock((total - done) / rate)}`)
  }
  return parts.join('  ')
}

function size(bytes: number): string {
  const unit = bytes >= 1e9 ? 1e9 : bytes >= 1e6 ? 1e6 : 1e3
  const n = bytes / unit
  return `${n >= 100 ? Math.round(n) : Number(n.toPrecision(3))} ${unit === 1e9 ? 'GB' : unit === 1e6 ? 'MB' : 'kB'}`
}

function clock(seconds: number): string {
  const whole = Math.ceil(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  return hours > 0 ? `${hours}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}` : `${Math.floor(whole / 60)}:${two(whole % 60)}`
}
