/** What was found: every number with what is allowed of it. */
import { join } from 'node:path'

export const fixtures = join(import.meta.dirname, '../../test/fixtures')
export const families = join(fixtures, 'families')

export interface Finding {
  what: string
  value: number
  allowed: number
  ok: boolean
  note?: string
}
export const findings: Finding[] = []

export function note(what: string, value: number, allowed: number, text?: string): void {
  const ok = value <= allowed
  findings.push({ what, value, allowed, ok, ...(text ? { note: text } : {}) })
  if (!ok) console.log(`FAIL ${what}: ${value.toExponential(2)}, allowed ${allowed.toExponential(1)}${text ? ` (${text})` : ''}`)
}

/** by op or model: how many checks, and the one that came nearest to what is allowed */
export function grouped(): Record<string, { checks: number; nearest: Finding }> {
  const groups: Record<string, { checks: number; nearest: Finding }> = {}
  const share = (f: Finding) => (f.allowed > 0 ? f.value / f.allowed : f.value)
  for (const f of findings) {
    const group = (groups[f.what.split(/[:,]/)[0]!] ??= { checks: 0, nearest: f })
    group.checks++
    if (share(f) > share(group.nearest)) group.nearest = f
  }
  return groups
}

/** Prints each group's nearest to its limit, and how many hold; returns those that don't. */
export function printFindings(): Finding[] {
  const failed = findings.filter((f) => !f.ok)
  for (const [group, { checks, nearest }] of Object.entries(grouped()))
    console.log(`${nearest.ok ? 'ok  ' : 'FAIL'} ${group}: ${checks} checks; nearest to its limit: ${nearest.what}, ${nearest.value.toExponential(2)} of ${nearest.allowed.toExponential(1)}${nearest.note ? ` (${nearest.note.split('\n')[0]})` : ''}`) // biome-ignore format: short
  console.log(`${findings.length - failed.length} of ${findings.length} within their tolerance`)
  return failed
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** distance of two curves at their farthest */
export const largest = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)))

/** Says what the device refuses by name, ops that it has no kernel of: nothing to hold against anything. */
export function refused(what: string, message: string): boolean {
  const ops = /has no kernel for .*/.exec(message)
  if (ops) console.log(`left out ${what}: ${ops[0]}`)
  return ops !== null
}
