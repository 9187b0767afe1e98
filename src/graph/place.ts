/**
 * Puts every arena tensor at a place in one arena. A tensor lives from the step that writes it to the last that reads it; two may share
 * bytes when their lives don't meet. Largest first, each at the lowest place that is free (offline first fit).
 */
import type { Tensor } from '../models/trace.ts'
import type { Node } from '../ops/op.ts'
import type { Segment } from './plan.ts'
import { rootOf, sizeOf } from './recorder.ts'

/** every place is a multiple of this: a vector register, a cache line, what cuBLASLt likes */
const ALIGN = 256

export interface Life {
  tensor: Tensor
  from: number
  to: number
  bytes: number
  /** tensors that share this life's place, in the order they take it over */
  members: Tensor[]
}

export interface Placement {
  arena: number
  at: Map<Tensor, number>
  lives: Map<Tensor, { from: number; to: number }>
  /** place of each step's scratch */
  workspace: Map<Node, { at: number; bytes: number }>
}

/** `pinned` tensors live through the whole plan (inputs, results); what a loop reads from before it lives until the loop's end. */
export function place(
  nodes: readonly Node[],
  pinned: readonly Tensor[],
  loops: readonly Segment[],
  workspaceOf: (node: Node) => number,
): Placement {
  const spans = lifetimes(nodes, pinned)
  for (const loop of loops) {
    for (const span of spans.values()) if (span.from < loop.from && span.to >= loop.from && span.to < loop.to) span.to = loop.to - 1
  }
  const groups = takeOver(nodes, spans, new Set(pinned))
  const scratch = new Map<Life, Node>()
  nodes.forEach((node, i) => {
    const bytes = workspaceOf(node)
    if (bytes > 0) scratch.set({ tensor: node.outputs[0]!, from: i, to: i, bytes: align(bytes), members: [] }, node)
  })

  const lives = [...new Set(groups.values()), ...scratch.keys()]
  const at = assign(lives)
  const placement: Placement = { arena: 0, at: new Map(), lives: spans, workspace: new Map() }
  for (const [life, offset] of at) {
    placement.arena = Math.max(placement.arena, offset + life.bytes)
    for (const t of life.members) placement.at.set(t, offset)
    const node = scratch.get(life)
    if (node) placement.workspace.set(node, { at: offset, bytes: life.bytes })
  }
  return placement
}

const align = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN

function lifetimes(nodes: readonly Node[], pinned: readonly Tensor[]): Map<Tensor, { from: number; to: number }> {
  const spans = new Map<Tensor, { from: number; to: number }>()
  for (const t of pinned) spans.set(t, { from: 0, to: Math.max(0, nodes.length - 1) })
  nodes.forEach((node, i) => {
    for (const t of [...node.outputs, ...node.inputs]) {
      if (!t || rootOf(t).space === 'store') continue
      const span = spans.get(rootOf(t))
      if (span) span.to = Math.max(span.to, i)
      else spans.set(rootOf(t), { from: i, to: i })
    }
  })
  return spans
}

/** Outputs that may be written over an input which dies in the same step take over its place. */
function takeOver(
  nodes: readonly Node[],
  spans: ReadonlyMap<Tensor, { from: number; to: number }>,
  pinned: ReadonlySet<Tensor>,
): Map<Tensor, Life> {
  const groups = new Map<Tensor, Life>()
  for (const [tensor, span] of spans) groups.set(tensor, { tensor, ...span, bytes: align(sizeOf(tensor)), members: [tensor] })
  nodes.forEach((node, i) => {
    const taken = new Set<Tensor>()
    for (const [o, k] of node.op.inPlace ?? []) {
      const output = node.outputs[o]!
      const input = node.inputs[k]
      if (!input || input.root || output.root || input.space !== 'arena' || pinned.has(input) || pinned.has(output)) continue
      const from = groups.get(input)!
      const to = groups.get(output)!
      const free = spans.get(input)!.to === i && from.to === i && spans.get(output)!.from === i && to.members.length === 1
      if (!free || from.bytes !== to.bytes || sizeOf(input) !== sizeOf(output) || taken.has(input) || from === to) continue
      if (node.inputs.filter((t) => t && rootOf(t) === input).length > 1) continue
      taken.add(input)
      from.to = to.to
      from.members.push(output)
      groups.set(output, from)
    }
  })
  return groups
}

function assign(lives: Life[]): Map<Life, number> {
  const order = [...lives].sort((a, c) => c.bytes - a.bytes || a.from - c.from || a.tensor.id - c.tensor.id)
  const placed: { from: number; to: number; at: number; end: number }[] = []
  const at = new Map<Life, number>()
  for (const life of order) {
    // `placed` is sorted by place: walk it and stop at the first gap that is wide enough
    let offset = 0
    for (const other of placed) {
      if (other.to < life.from || other.from > life.to) continue
      if (other.at >= offset + life.bytes) break
      offset = Math.max(offset, other.end)
    }
    at.set(life, offset)
    insert(placed, { from: life.from, to: life.to, at: offset, end: offset + life.bytes })
  }
  return at
}

function insert<T extends { at: number }>(sorted: T[], item: T): void {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (sorted[mid]!.at <= item.at) low = mid + 1
    else high = mid
  }
  sorted.splice(low, 0, item)
}
