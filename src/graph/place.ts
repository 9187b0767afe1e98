/**
 * Puts everything that lives in the arena at a place of its own; two may share bytes when their lives don't meet. One after the other, each at the
 * lowest place that is free (offline first fit): the largest first, or those that live longest, whichever order leaves the fewest gaps.
 */

import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { Lives } from './lives.ts'
import { Occupied } from './occupied.ts'
import type { Beside, Segment } from './plan.ts'

export interface Placement {
  /** the most bytes that live at once: no arena can be smaller */
  floor: number
  /** bytes of the arena; the best places are looked for when it is first asked for */
  readonly arena: number
  /** would an arena of so many bytes do? Places are looked for until some do */
  fits(bytes: number): boolean
  /** bytes of host memory, each tensor its own */
  host: number
  spanOf(root: Tensor): Readonly<{ from: number; to: number; at: number }> | undefined
  /** place of a step's scratch */
  scratchOf(step: number): { at: number; bytes: number } | null
}

/** `pinned` tensors live through the whole plan (inputs, results); what a loop reads from before it lives until the loop's end. */
export function place(
  nodes: readonly Node[],
  pinned: readonly Tensor[],
  loops: readonly Segment[],
  scratchOf: (node: Node) => number,
  beside: ReadonlyMap<number, Beside> = new Map(),
): Placement {
  const lives = new Lives(nodes, pinned, loops, beside, scratchOf)
  const floor = mostAtOnce(lives, nodes.length)
  const places = new Places(lives, nodes.length, floor)
  return {
    floor,
    host: lives.hostBytes,
    get arena() {
      return places.least()
    },
    fits: (bytes) => floor <= bytes && places.least(bytes) <= bytes,
    spanOf(root) {
      const l = lives.of(root)
      return l < 0 ? undefined : { from: lives.from[l]!, to: lives.end[l]!, at: lives.at[lives.over[l]!]! }
    },
    scratchOf(step) {
      const l = lives.scratch[step]!
      return l < 0 ? null : { at: lives.at[l]!, bytes: lives.bytes[l]! }
    },
  }
}

function mostAtOnce({ inArena, from, to, bytes }: Lives, steps: number): number {
  const change = new Float64Array(steps + 1)
  for (const l of inArena) {
    change[from[l]!]! += bytes[l]!
    change[to[l]! + 1]! -= bytes[l]!
  }
  let now = 0
  let most = 0
  for (const c of change) {
    now += c
    most = Math.max(most, now)
  }
  return most
}

type Order = (a: number, c: number) => number

/** each order among equals is that of the tensors' ids */
function ordersOf({ id, from, to, bytes }: Lives): readonly Order[] {
  const largest: Order = (a, c) => bytes[c]! - bytes[a]!
  const longest: Order = (a, c) => to[c]! - from[c]! - (to[a]! - from[a]!)
  /** as large as one another to a factor of about two */
  const scale = bytes.map((b) => Math.round(Math.log2(b)))
  const larger: Order = (a, c) => scale[c]! - scale[a]!
  return [
    (a, c) => largest(a, c) || from[a]! - from[c]! || id[a]! - id[c]!,
    (a, c) => larger(a, c) || longest(a, c) || largest(a, c) || id[a]! - id[c]!,
    (a, c) => longest(a, c) || largest(a, c) || id[a]! - id[c]!,
  ]
}

/** Gives every life its place: those of one order after the other, as far as it is asked. */
class Places {
  readonly #lives: Lives
  readonly #steps: number
  /** no arena can be smaller */
  readonly #floor: number
  /** those not tried yet */
  #orders: readonly Order[] | undefined
  #least = Number.POSITIVE_INFINITY

  constructor(lives: Lives, steps: number, floor: number) {
    this.#lives = lives
    this.#steps = steps
    this.#floor = floor
  }

  /** Bytes of the arena, with the places that take the least; the first that take at most `enough` will do. */
  least(enough = this.#floor): number {
    this.#orders ??= ordersOf(this.#lives)
    while (this.#least > enough && this.#orders.length > 0) {
      const [order, ...rest] = this.#orders
      this.#orders = rest
      this.#try(order!)
    }
    return this.#least
  }

  #try(by: Order): void {
    const order = [...this.#lives.inArena].sort(by)
    const places = new Float64Array(order.length)
    const end = firstFit(this.#lives, order, this.#steps, places, this.#least)
    if (end >= this.#least) return
    this.#least = end
    for (let i = 0; i < order.length; i++) this.#lives.at[order[i]!] = places[i]!
  }
}

/** The bytes that it takes to place them in this order; those found so far where they come to `enough`. */
function firstFit({ from, to, bytes }: Lives, order: readonly number[], steps: number, places: Float64Array, enough: number): number {
  const occupied = new Occupied(steps)
  let end = 0
  for (let i = 0; i < order.length && end < enough; i++) {
    const l = order[i]!
    const at = occupied.gap(from[l]!, to[l]!, bytes[l]!)
    occupied.take(from[l]!, to[l]!, at, bytes[l]!)
    places[i] = at
    end = Math.max(end, at + bytes[l]!)
  }
  return end
}
