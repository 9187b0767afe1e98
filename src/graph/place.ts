/**
 * Puts every arena tensor at a place in one arena. A tensor lives from the step that writes it to the last that reads it; two may share
 * bytes when their lives don't meet. One after the other, each at the lowest place that is free (offline first fit): the largest first, or those that
 * live longest, whichever order leaves the fewest gaps.
 */

import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import { Occupied } from './occupied.ts'
import type { Segment } from './plan.ts'
import { rootOf } from './recorder.ts'

/** every place is a multiple of this: a vector register, a cache line, what cuBLASLt likes */
const ALIGN = 256

/** Bytes of the arena, or of host memory, that are taken from one step to another: a tensor's, those of several that take each other over, or a step's scratch. */
interface Life {
  /** of its first tensor: the order among equals */
  id: number
  from: number
  to: number
  bytes: number
  at: number
}

/** steps between which a tensor is written and last read */
interface Span {
  tensor: Tensor
  from: number
  to: number
  /** lives through the whole plan */
  pinned: boolean
  life: Life
}

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
  beside: ReadonlyMap<number, number> = new Map(),
): Placement {
  const spans = new Spans(nodes, pinned)
  // what runs beside other steps holds its tensors until it is done
  for (const [step, until] of beside) spans.hold(nodes[step]!, until - 1)
  for (const { from, to } of loops) for (const span of spans.list) if (span.from < from && span.to >= from && span.to < to) span.to = to - 1
  const all = takeOver(nodes, spans)
  const host = placeApart(spans)
  const lives = all.filter((life) => !host.lives.has(life))
  const scratch = new Map<number, Life>()
  nodes.forEach((node, i) => {
    const bytes = scratchOf(node)
    if (bytes > 0) scratch.set(i, { id: node.outputs[0]!.id, from: i, to: i, bytes: align(bytes), at: 0 })
  })
  lives.push(...scratch.values())

  const floor = mostAtOnce(lives, nodes.length)
  const places = new Places(lives, nodes.length, floor)
  return {
    floor,
    host: host.bytes,
    get arena() {
      return places.least()
    },
    fits: (bytes) => floor <= bytes && places.least(bytes) <= bytes,
    spanOf(root) {
      const span = spans.of(root)
      return span && { from: span.from, to: span.to, at: span.life.at }
    },
    scratchOf: (step) => scratch.get(step) ?? null,
  }
}

/** In host memory: one behind the other. */
function placeApart(spans: Spans): { lives: Set<Life>; bytes: number } {
  const lives = new Set<Life>()
  let bytes = 0
  for (const { tensor, life } of spans.list) {
    if (tensor.space !== 'host') continue
    life.at = bytes
    bytes += life.bytes
    lives.add(life)
  }
  return { lives, bytes }
}

const align = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN

class Spans {
  readonly list: Span[] = []
  /** index in the list by a tensor's id, −1 where it has none: there are tens of thousands, and a search looks at many plans */
  readonly #index: Int32Array

  constructor(nodes: readonly Node[], pinned: readonly Tensor[]) {
    let ids = 0
    for (const t of pinned) ids = Math.max(ids, t.id)
    for (const node of nodes) for (const t of node.outputs) ids = Math.max(ids, rootOf(t).id)
    this.#index = new Int32Array(ids + 1).fill(-1)
    for (const t of pinned) this.#pin(t, Math.max(0, nodes.length - 1))
    nodes.forEach((node, i) => {
      for (const t of node.outputs) this.#touch(t, i)
      for (const t of node.inputs) if (t) this.#touch(t, i)
    })
  }

  of(root: Tensor): Span | undefined {
    return this.list[this.#index[root.id] ?? -1]
  }

  /** what the node touches lives until `step` at least */
  hold({ inputs, outputs }: Node, step: number): void {
    for (const list of [inputs, outputs]) for (const t of list) if (t) this.#touch(t, step)
  }

  #pin(t: Tensor, end: number): void {
    const span = this.#add(t, 0)
    span.to = end
    span.pinned = true
  }

  #touch(t: Tensor, step: number): void {
    const root = rootOf(t)
    if (root.space === 'store') return
    const span = this.of(root) ?? this.#add(root, step)
    if (step > span.to) span.to = step
  }

  #add(tensor: Tensor, step: number): Span {
    this.#index[tensor.id] = this.list.length
    const life = { id: tensor.id, from: step, to: step, bytes: 0, at: 0 }
    const span = { tensor, from: step, to: step, pinned: false, life }
    this.list.push(span)
    return span
  }
}

/** Outputs that may be written over an input which dies in the same step take over its place. */
function takeOver(nodes: readonly Node[], spans: Spans): Life[] {
  for (const { tensor, from, to, life } of spans.list) {
    life.from = from
    life.to = to
    life.bytes = align(sizeOf(tensor))
  }
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!
    if (!node.op.inPlace) continue
    const taken: Span[] = []
    for (const [o, k] of node.op.inPlace) {
      const output = node.outputs[o]!
      const input = node.inputs[k]
      if (!input || input.root || output.root || input.space !== 'arena') continue
      if (spans.of(input)!.to === i && reads(node, input) === 1) takes(spans.of(output), spans.of(input)!, i, taken)
    }
    for (const [output, input] of columnByColumn(node)) if (input.space === 'arena') takes(spans.of(output), spans.of(input)!, i, taken)
  }
  return spans.list.filter(({ tensor, life }) => life.id === tensor.id).map(({ life }) => life)
}

/** where the one begins and the other, which nothing else has taken, ends */
function takes(output: Span | undefined, input: Span, step: number, taken: Span[]): void {
  if (!output || input.pinned || output.pinned || taken.includes(input)) return
  const free = input.to === step && input.life.to === step && output.from === step && output.life.id === output.tensor.id
  if (!free || input.life === output.life || sizeOf(input.tensor) !== sizeOf(output.tensor)) return
  taken.push(input)
  input.life.to = output.life.to
  output.life = input.life
}

/** inputs that lie in this tensor */
function reads({ inputs }: Node, root: Tensor): number {
  let count = 0
  for (const t of inputs) if (t && rootOf(t) === root) count++
  return count
}

/** Outputs and inputs that are columns of something wider, the same columns each: what the one are of may be written over what the others are of. */
function columnByColumn({ op, inputs, outputs }: Node): [output: Tensor, input: Tensor][] {
  if (!outputs.some((t) => t.root)) return []
  const alike = (a: Tensor, b: Tensor) => a.offset === b.offset && a.cols === b.cols && a.stride === b.stride
  const pairs: [Tensor, Tensor][] = []
  for (const whole of new Set(outputs.flatMap((t) => t.root ?? []))) {
    const parts = [...outputs.keys()].filter((o) => outputs[o]!.root === whole)
    const over = parts.map((o) => op.inPlace!.find(([to, k]) => to === o && inputs[k]?.root && alike(outputs[o]!, inputs[k]))?.[1])
    const root = over[0] === undefined ? undefined : inputs[over[0]]!.root!
    // whatever else is read of it would be gone
    const read = [...inputs.keys()].filter((k) => inputs[k] && rootOf(inputs[k]) === root)
    if (root && over.every((k) => k !== undefined && inputs[k]!.root === root) && read.every((k) => over.includes(k)))
      pairs.push([whole, root])
  }
  return pairs
}

function mostAtOnce(lives: readonly Life[], steps: number): number {
  const change = new Float64Array(steps + 1)
  for (const { from, to, bytes } of lives) {
    change[from]! += bytes
    change[to + 1]! -= bytes
  }
  let now = 0
  let most = 0
  for (const c of change) {
    now += c
    most = Math.max(most, now)
  }
  return most
}

const lasts = ({ from, to }: Life) => to - from
const largest = (a: Life, c: Life) => c.bytes - a.bytes
const longest = (a: Life, c: Life) => lasts(c) - lasts(a)
/** as large as one another to a factor of about two */
const larger = (a: Life, c: Life) => Math.round(Math.log2(c.bytes)) - Math.round(Math.log2(a.bytes))

const ORDERS: readonly ((a: Life, c: Life) => number)[] = [
  (a, c) => largest(a, c) || a.from - c.from || a.id - c.id,
  (a, c) => larger(a, c) || longest(a, c) || largest(a, c) || a.id - c.id,
  (a, c) => longest(a, c) || largest(a, c) || a.id - c.id,
]

/** Gives every life its place: those of one order after the other, as far as it is asked. */
class Places {
  readonly #lives: readonly Life[]
  readonly #steps: number
  /** no arena can be smaller */
  readonly #floor: number
  /** orders tried */
  #tried = 0
  #least = Number.POSITIVE_INFINITY

  constructor(lives: readonly Life[], steps: number, floor: number) {
    this.#lives = lives
    this.#steps = steps
    this.#floor = floor
  }

  /** Bytes of the arena, with the places that take the least; the first that take at most `enough` will do. */
  least(enough = this.#floor): number {
    while (this.#least > enough && this.#tried < ORDERS.length) this.#try(ORDERS[this.#tried++]!)
    return this.#least
  }

  #try(by: (a: Life, c: Life) => number): void {
    const order = [...this.#lives].sort(by)
    const places = new Float64Array(order.length)
    const end = firstFit(order, this.#steps, places, this.#least)
    if (end >= this.#least) return
    this.#least = end
    order.forEach((life, i) => {
      life.at = places[i]!
    })
  }
}

/** The bytes that it takes to place them in this order; those found so far where they come to `enough`. */
function firstFit(order: readonly Life[], steps: number, places: Float64Array, enough: number): number {
  const occupied = new Occupied(steps)
  let end = 0
  for (let i = 0; i < order.length && end < enough; i++) {
    const { from, to, bytes } = order[i]!
    const at = occupied.gap(from, to, bytes)
    occupied.take(from, to, at, bytes)
    places[i] = at
    end = Math.max(end, at + bytes)
  }
  return end
}
