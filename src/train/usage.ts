/** How often each expert of a mixture was chosen, by the rows' tokens. */

/** (L, E): a layer that has experts after the other */
export interface ExpertUsage {
  layers: number
  counts: number[]
}

/** @param more as a pass gives it */
export function addUsage(before: ExpertUsage | null, more: { rows: number; values: ArrayLike<number> }): ExpertUsage {
  return { layers: more.rows, counts: Array.from(more.values, (n, i) => n + (before?.counts[i] ?? 0)) }
}

export const sum = (a: ExpertUsage | null, b: ExpertUsage | null): ExpertUsage | null =>
  b ? addUsage(a, { rows: b.layers, values: b.counts }) : a

/** Shares of the busiest and of the idlest expert of any layer, of what its layer's experts were chosen for; 1 / E each where all are alike. */
export function shares({ layers, counts }: ExpertUsage): { busiestExpert: number; idlestExpert: number } {
  const experts = counts.length / layers
  let [most, least] = [0, 1]
  for (let l = 0; l < layers; l++) {
    const own = counts.slice(l * experts, (l + 1) * experts)
    const total = own.reduce((sum, n) => sum + n, 0) || 1
    most = Math.max(most, ...own.map((n) => n / total))
    least = Math.min(least, ...own.map((n) => n / total))
  }
  return { busiestExpert: most, idlestExpert: least }
}

/** names told at most */
const NAMED = 4

/** What to tell of experts that no token went to in the whole run; null: there are none. */
export function idleExperts({ layers, counts }: ExpertUsage): string | null {
  const experts = counts.length / layers
  const idle = counts.flatMap((n, i) => (n === 0 ? [`${i % experts} of the ${ordinal(Math.floor(i / experts) + 1)}`] : []))
  if (idle.length === 0) return null
  const more = idle.length > NAMED ? ` and ${idle.length - NAMED} more` : ''
  return `${idle.length} of ${counts.length} experts got no token in the whole run, and nothing of them was trained: expert ${idle.slice(0, NAMED).join(', ')}${more} of ${layers} layers with experts`
}

function ordinal(n: number): string {
  const ending = n % 100 > 10 && n % 100 < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')
  return `${n}${ending}`
}
