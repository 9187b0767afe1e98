/**
 * The fastest plan that fits an arena: blocks keep everything, or make element-wise results anew (lean), or keep the least there is: only their
 * input (recompute), or that and more in host memory (offload). Levels go from 0 (all blocks keep all) over L (all lean) to 2L (all the least), each
 * step one block and no faster than the one before it. Where host memory is used two more follow: the last two blocks use it as well.
 */
import type { Lowered } from './lower.ts'
import type { Policy } from './recompute.ts'

export type Least = Exclude<Policy, 'all' | 'lean'>

/**
 * What a block does at this level of `blocks` blocks. Backward begins with the last block and its input: to send either away brings nothing but
 * room, and is waited for.
 */
export function policyAt(level: number, blocks: number, least: Least = 'recompute'): (block: number) => Policy {
  if (level <= blocks) return (block) => (block < level ? 'lean' : 'all')
  const near = Math.max(0, blocks - 2) + Math.max(0, level - 2 * blocks)
  return (block) => (block >= level - blocks ? 'lean' : block >= near ? 'recompute' : least)
}

/** the last level there is */
export const lastLevel = (blocks: number, least: Least) => 2 * blocks + (least === 'recompute' ? 0 : Math.min(2, blocks))

export interface Fitted {
  plan: Lowered
  level: number
  fits: boolean
}

/** What a plan may take, bytes of each; and what blocks do that keep the least. */
export interface Room {
  arena: number
  host: number
  least: Least
}

/**
 * The lowest level up to `highest` whose arena fits; where none does, the one with the smallest arena.
 * The search goes by what lives at once, which costs less to know than places; those are found for the last levels only.
 */
export function fitPlan(
  blocks: number,
  room: Room,
  make: (policy: (block: number) => Policy) => Lowered,
  highest = lastLevel(blocks, room.least),
): Fitted {
  const at = (level: number) => ({ plan: make(policyAt(level, blocks, room.least)), level })
  // arenas fall up to the last level but one; the last often needs more, as the block next to the head is made anew while the head's results live
  const corners = [0, blocks, 2 * blocks - 1, 2 * blocks, 2 * blocks + 1, 2 * blocks + 2].filter(
    (level, i, all) => level <= highest && all.indexOf(level) === i,
  )
  let found = lowest(at, room.arena, corners)
  // a floor that fits promises no arena that does: the levels after it are tried, and where none fits the smallest counts
  let smallest = found
  while (found.plan.floor <= room.arena && found.plan.arena > room.arena && found.level < highest) {
    found = at(found.level + 1)
    if (found.plan.arena < smallest.plan.arena) smallest = found
  }
  const fits = found.plan.arena <= room.arena && found.plan.host <= room.host
  return fits ? { ...found, fits } : { ...smallest, fits }
}

/** The lowest level whose floor is at most `bytes`, between `corners`; where none is, the smaller of the last two. */
function lowest<F extends { plan: Lowered; level: number }>(at: (level: number) => F, bytes: number, corners: readonly number[]): F {
  let high = at(corners[0]!)
  let low = high
  for (const corner of corners.slice(1)) {
    if (high.plan.floor <= bytes) break
    low = high
    high = at(corner)
  }
  if (high.plan.floor > bytes) return high.plan.arena < low.plan.arena ? high : low
  while (high.level - low.level > 1) {
    const share = (low.plan.floor - bytes) / Math.max(1, low.plan.floor - high.plan.floor)
    const guess = Math.ceil(low.level + share * (high.level - low.level))
    const middle = at(Math.min(high.level - 1, Math.max(low.level + 1, guess)))
    if (middle.plan.floor > bytes) low = middle
    else high = middle
  }
  return high
}
