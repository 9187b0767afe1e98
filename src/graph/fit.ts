/**
 * The fastest plan that fits an arena: blocks keep everything, or make element-wise results anew (lean), or keep only their input
 * (recompute). Levels go from 0 (all blocks keep all) over L (all lean) to 2L (all recompute), each step one block; a level needs no more
 * memory and no less time than the one before it.
 */
import type { Lowered } from './lower.ts'
import type { Policy } from './recompute.ts'

/** what a block does at this level of `blocks` blocks */
export function policyAt(level: number, blocks: number): (block: number) => Policy {
  if (level <= blocks) return (block) => (block < level ? 'lean' : 'all')
  return (block) => (block < level - blocks ? 'recompute' : 'lean')
}

export interface Fitted {
  plan: Lowered
  level: number
}

/**
 * The lowest level whose arena is at most `bytes`, or the highest with its arena where none is.
 * `make` plans a level; about four are tried.
 */
export function fitPlan(blocks: number, bytes: number, make: (policy: (block: number) => Policy) => Lowered): Fitted & { fits: boolean } {
  const at = (level: number): Fitted => ({ plan: make(policyAt(level, blocks)), level })
  let low = at(0)
  if (low.plan.arena <= bytes) return { ...low, fits: true }
  let high = at(blocks)
  if (high.plan.arena > bytes) {
    low = high
    high = at(2 * blocks)
    if (high.plan.arena > bytes) return { ...high, fits: false }
  }
  // low doesn't fit, high does; arenas fall about evenly in between
  while (high.level - low.level > 1) {
    const share = (low.plan.arena - bytes) / Math.max(1, low.plan.arena - high.plan.arena)
    const guess = Math.ceil(low.level + share * (high.level - low.level))
    const middle = at(Math.min(high.level - 1, Math.max(low.level + 1, guess)))
    if (middle.plan.arena > bytes) low = middle
    else high = middle
  }
  return { ...high, fits: true }
}
