/** The known name that a mistyped one most likely meant. */

/** Edit distance with insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/** characters; what is longer is no misspelt name but a text in its place, and comparing it would take its square */
const LONGEST = 256

/** Undefined where nothing is close: more than a third of the name would have to change. Names are also close where one begins with or contains the other. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  if (name.length > LONGEST) return undefined
  let found: string | undefined
  let least = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const d = Math.min(distance(name, candidate), kinship(name, candidate))
    if (d < least) [found, least] = [candidate, d]
  }
  return found
}

function kinship(name: string, candidate: string): number {
  if (Math.min(name.length, candidate.length) < 4) return Number.POSITIVE_INFINITY
  // the beginning of a longer name, whole words of it: nearer than another letter
  if (candidate.startsWith(`${name}_`)) return 0.5
  if (name.startsWith(candidate) || candidate.startsWith(name)) return 1.5
  return `_${candidate}_`.includes(`_${name}_`) ? 2 : Number.POSITIVE_INFINITY
}
