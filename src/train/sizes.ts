/** How large examples are, as they come one by one: of millions no list is made. */
import { Counts } from '../data/counts.ts'
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
  /** tokens of examples as they are, and those computed of each by itself */
  readonly #rows = new Counts()
  readonly #shared = new Counts()
  #longestSequence = 0

  add(example: Example): void {
    const { length } = example.ids
    this.#rows.add(length)
    this.#shared.add(length - sharedOf(example))
    this.#longestSequence = Math.max(this.#longestSequence, longestSequence([example]))
  }

  /** Of steps of `rows` examples. @param sharing beginnings that two answers have in common are computed once */
  bounds(rows: number, together: Together = 'sequence', sharing = false): Bounds {
    const counts = together !== 'sequence' && sharing ? this.#shared : this.#rows
    let stepTokens = 0
    let left = rows
    const sizes = counts.sorted().reverse()
    for (const [tokens, n] of sizes) {
      stepTokens += Math.min(n, left) * tokens
      left -= Math.min(n, left)
    }
    const longest = { sequence: this.#longestSequence, example: sizes[0]?.[0] ?? 0, batch: stepTokens }[together]
    return { longest, stepTokens }
  }
}

/** tokens that two answers begin with alike */
function sharedOf({ ids, starts }: Example): number {
  if (starts?.length !== 2) return 0
  const shared = commonLength(ids.subarray(0, starts[1]), ids.subarray(starts[1]))
  return shared >= LEAST_SHARED ? shared : 0
}
