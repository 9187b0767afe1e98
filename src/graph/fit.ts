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

/** What a plan may take, bytes of each; and what blocks do that keep the least. */
export interface Room {
  arena: number
  host: number
  least: Least
}

/** A level and its plan; where none fits, those of the smallest arena, which is looked for when one of them is asked for. */
export interface Fitted {
  readonly fits: boolean
  readonly level: number
  readonly plan: Lowered
}

export interface Search {
  /** the last level that may be taken; default: the last there is */
  highest?: number | undefined
  /** a level that is likely near, as a pass alike ended there */
  near?: number | undefined
}

/**
 * The lowest level up to `highest` whose arena fits; where none does, the one with the smallest arena.
 * The search goes by what lives at once, which costs less to know than places; those are found for the last levels only. `make` remembers what it made.
 */
export function fitPlan(
  blocks: number,
  { arena, host, least }: Room,
  make: (policy: (block: number) => Policy) => Lowered,
  { highest = lastLevel(blocks, least), near }: Search = {},
): Fitted {
  const at = (level: number) => make(policyAt(level, blocks, least))
  // what lives at once falls up to the last level but one; the last often needs more, as the block next to the head is made anew while the head's results live
  const falling = Math.min(2 * blocks - 1, highest)
  let level = firstWithin((level) => at(level).floor, arena, falling, near === undefined ? { at: 0, step: blocks } : { at: near, step: 1 })
  while (level <= highest && at(level).floor > arena) level++
  if (level > highest) return smallest([highest - 1, highest], at)
  // a floor that fits promises no arena that does: the levels after it are tried
  const tried = [level]
  while (at(level).floor <= arena && !at(level).fits(arena) && level < highest) tried.push(++level)
  const plan = at(level)
  return plan.fits(arena) && plan.host <= host ? { fits: true, level, plan } : smallest(tried, at)
}

function smallest(levels: readonly number[], at: (level: number) => Lowered): Fitted {
  let found: { level: number; plan: Lowered } | undefined
  const find = () => {
    found ??= levels.map((level) => ({ level, plan: at(level) })).reduce((a, b) => (b.plan.arena < a.plan.arena ? b : a))
    return found
  }
  return {
    fits: false,
    get level() {
      return find().level
    },
    get plan() {
      return find().plan
    },
  }
}

/**
 * The first of the levels 0 … last whose floor is at most `bytes`, `last` + 1 where none is; floors fall. Looked at first: `start.at`, from there in
 * steps that double until the one that is looked for lies between two levels, then where a straight line between those would have it.
 */
function firstWithin(floorAt: (level: number) => number, bytes: number, last: number, start: { at: number; step: number }): number {
  let [low, high] = [-1, last + 1]
  let [lowFloor, highFloor] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let { at: level, step } = start
  while (high - low > 1) {
    level = Math.max(low + 1, Math.min(high - 1, level))
    const floor = floorAt(level)
    if (floor > bytes) [low, lowFloor] = [level, floor]
    else [high, highFloor] = [level, floor]
    const isBetween = low >= 0 && high <= last
    if (isBetween) level = Math.ceil(low + ((lowFloor - bytes) / Math.max(1, lowFloor - highFloor)) * (high - low))
    else level = floor > bytes ? low + step : high - step
    step *= 2
  }
  return high
}
