/** How large examples are, as they come one by one: of millions no list is made. */
import type { Example } from '../data/example.ts'
import { longestSequence } from '../data/long.ts'
import { commonLength, LEAST_SHARED } from '../data/passes.ts'
import type { Together } from './objectives/objective.ts'

export interface Bounds {
  /** the most that one pass has to hold: the longest sequence, or what stays together */
  longest: number
  /** the most tokens that a step can have */
  stepTokens: number
}

export class Sizes {
  /** how many examples have so many tokens: as they are, and computed by themselves */
  readonly #rows = new Map<number, number>()
  readonly #shared = new Map<number, number>()
  #longestSequence = 0

  add(example: Example): void {
    const { length } = example.ids
    count(this.#rows, length)
    count(this.#shared, length - sharedOf(example))
    this.#longestSequence = Math.max(this.#longestSequence, longestSequence([example]))
  }

  /** Of steps of `rows` examples. @param sharing beginnings that two answers have in common are computed once */
  bounds(rows: number, together: Together = 'sequence', sharing = false): Bounds {
    const counts = together !== 'sequence' && sharing ? this.#shared : this.#rows
    let stepTokens = 0
    let left = rows
    const sizes = [...counts].sort(([a], [b]) => b - a)
    for (const [tokens, n] of sizes) {
      stepTokens += Math.min(n, left) * tokens
      left -= Math.min(n, left)
    }
    const longest = { sequence: this.#longestSequence, example: sizes[0]?.[0] ?? 0, batch: stepTokens }[together]
    return { longest, stepTokens }
  }
}

const count = (counts: Map<number, number>, tokens: number) => counts.set(tokens, (counts.get(tokens) ?? 0) + 1)

/** tokens that two answers begin with alike */
function sharedOf({ ids, starts }: Example): number {
  if (starts?.length !== 2) return 0
  const shared = commonLength(ids.subarray(0, starts[1]), ids.subarray(starts[1]))
  return shared >= LEAST_SHARED ? shared : 0
}
