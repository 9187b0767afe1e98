/** A row as tokens on a terminal: what is learned in green, every second token underlined; without colours marked by brackets. */
import type { Piece } from '../data/pieces.ts'
import { grouped } from '../track/numbers.ts'
import type { Style } from '../track/style.ts'

/** tokens shown at both ends of a row, and on each side of a place where what is learned begins or ends */
const ENDS = 40
const AROUND = 20
/** such places that are shown */
const PLACES = 4

/** What the marks mean, in a line. */
export function legend(style: Style, color: boolean): string {
  return color
    ? `${style.good('learned')} ${style.dim('not learned')}, every second token underlined`
    : '⟦learned⟧ not learned, tokens between │'
}

/** Lines of a row; long stretches are left out and counted. */
export function tokenLines(pieces: readonly Piece[], style: Style, color: boolean): string[] {
  let text = ''
  let last = -1
  for (const [from, to] of windows(pieces)) {
    if (from > last + 1) text += gap(pieces.slice(last + 1, from), style)
    for (let i = from; i <= to; i++) text += color ? coloured(pieces[i]!, i, style) : marked(pieces, i, i === from, i === to)
    last = to
  }
  return text.split('\n')
}

/** [first, last] of the tokens that are shown */
function windows(pieces: readonly Piece[]): [number, number][] {
  const end = pieces.length - 1
  const turns = pieces.flatMap(({ target }, i) => (i > 0 && target !== pieces[i - 1]!.target ? [i] : [])).slice(0, PLACES)
  const wanted: [number, number][] = [
    [0, ENDS - 1],
    ...turns.map((at): [number, number] => [at - AROUND, at + AROUND - 1]),
    [end - ENDS + 1, end],
  ]
  const joined: [number, number][] = []
  for (const [from, to] of wanted.map(([a, b]): [number, number] => [Math.max(0, a), Math.min(end, b)])) {
    const before = joined.at(-1)
    // a gap shorter than its own mention is shown
    if (before && from <= before[1] + 5) before[1] = Math.max(before[1], to)
    else joined.push([from, to])
  }
  return joined
}

function gap(left: readonly Piece[], style: Style): string {
  const learned = left.filter(({ target }) => target).length
  const which = learned === left.length ? 'all learned' : learned === 0 ? 'none learned' : `${grouped(learned)} learned`
  return style.dim(` … ${grouped(left.length)} tokens, ${which} … `)
}

/** A style ends at the end of a line and begins again on the next. */
function coloured({ text, target }: Piece, i: number, style: Style): string {
  const tone = target ? style.good : style.dim
  return visible(text)
    .split('\n')
    .map((part) => (part === '' ? '' : tone(i % 2 === 1 ? style.underlined(part) : part)))
    .join('\n')
}

function marked(pieces: readonly Piece[], i: number, isFirst: boolean, isLast: boolean): string {
  const { text, target } = pieces[i]!
  const begins = target && (isFirst || !pieces[i - 1]!.target)
  const ends = target && (isLast || !pieces[i + 1]!.target)
  const shown = visible(text)
  const body = shown.replace(/\n+$/, '')
  const before = pieces[i - 1]
  const apart = isFirst || begins || (before!.target && !target) || before!.text.endsWith('\n')
  // a bracket that closes stands before the line ends
  return `${apart ? '' : '│'}${begins ? '⟦' : ''}${body}${ends ? '⟧' : ''}${shown.slice(body.length)}`
}

/** What would move the cursor, colour the terminal or turn the direction of a line is shown as a sign; a line break breaks the line too. */
export function visible(text: string): string {
  return text
    .replace(/\p{Cc}/gu, sign)
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, hex)
    .replaceAll('\n', '⏎\n')
}

function sign(control: string): string {
  if (control === '\t' || control === '\n') return control
  const code = control.codePointAt(0)!
  if (code < 0x20) return String.fromCodePoint(0x2400 + code)
  return code === 0x7f ? '␡' : hex(control)
}

const hex = (character: string) => `<${character.codePointAt(0)!.toString(16).padStart(4, '0')}>`
