/** The few colours of a terminal's lines; plain text where there are none. */
import type { TextOutput } from './tracker.ts'

export interface Style {
  bold(text: string): string
  dim(text: string): string
  underlined(text: string): string
  /** what went well, and what needs a look */
  good(text: string): string
  warn(text: string): string
}

const between = (on: number, off: number) => (text: string) => `\x1b[${on}m${text}\x1b[${off}m`
const same = (text: string) => text

export function styleOf({ color = false }: TextOutput): Style {
  if (!color) return { bold: same, dim: same, underlined: same, good: same, warn: same }
  return { bold: between(1, 22), dim: between(2, 22), underlined: between(4, 24), good: between(32, 39), warn: between(33, 39) }
}
