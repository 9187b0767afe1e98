/** The memory table: what holds how much, known before the first step. */
import type { MemoryTable } from './events.ts'
import { bytes } from './numbers.ts'

/** Lines of text, largest at the peak first. */
export function memoryTable(table: MemoryTable): string[] {
  const lines = [...table.lines].sort((a, b) => b.atPeak - a.atPeak || b.bytes - a.bytes)
  const width = Math.max(...[...lines, ...table.overheads].map((line) => line.kind.length), 'on the device'.length)
  const row = (name: string, all: string, peak: string) => `  ${name.padEnd(width)}  ${all.padStart(10)}  ${peak.padStart(10)}`
  const atPeak = lines.reduce((sum, line) => sum + line.atPeak, 0)
  return [
    row('memory', 'at most', 'at peak'),
    ...lines.map((line) => row(line.kind, bytes(line.bytes), bytes(line.atPeak))),
    row('on the device', '', bytes(atPeak)),
    ...table.overheads.map((line) => row(line.kind, '', bytes(line.bytes))),
    row('in all', '', bytes(atPeak + table.overhead)),
    ...(table.host > 0 ? [`  and ${bytes(table.host)} in the host’s memory`] : []),
    `  peak at ${table.peak}; arena ${bytes(table.arena)}; budget ${table.budget === null ? 'not given' : bytes(table.budget)}`,
  ]
}
