/** Nodes with their places become a plan: plain data that a device runs and `saqr plan` prints. */
import { createHash } from 'node:crypto'
import { complete } from '../ops/attrs.ts'
import type { Node } from '../ops/op.ts'
import { type DType, sizeOf, type Tensor } from '../ops/tensor.ts'
import { besideOf } from './beside.ts'
import { denselyUsed, type Stored, storedIn } from './dense.ts'
import { type Placement, place } from './place.ts'
import type { Beside, Costs, Plan, PlanBuffer, PlanStep, PlanTensor, Segment, StepCost } from './plan.ts'
import { rootOf } from './recorder.ts'

export interface NamedNodes {
  name: string
  nodes: readonly Node[]
  /** runs any number of times in a pass: what it reads from before it stays in place until its end */
  repeats?: boolean
}

/** of a node, bytes */
export type ScratchOf = (node: Node) => number

export interface LowerOptions {
  /** T */
  tokens: number
  /** arena tensors that live through the whole plan: uploaded inputs, results the host reads */
  pinned: readonly Tensor[]
  /** bytes that the device's kernel needs beside its tensors (DeviceDescription.scratch): placed with them; default: none */
  scratch?: ScratchOf
  /** the device runs kernels beside others (DeviceDescription.overlaps); default: one after the other */
  overlaps?: boolean
  recomputed?: ReadonlySet<Node>
}

/** Segments whose places and plan are made when they are asked for: a search for what fits looks at many. */
export interface Lowered {
  /** the most bytes that live at once: the arena has at least these */
  readonly floor: number
  /** bytes of the arena */
  readonly arena: number
  /** would an arena of so many bytes do? */
  fits(arena: number): boolean
  /** bytes of host memory */
  readonly host: number
  /** what it needs of the store */
  readonly stored: readonly Stored[]
  /** what its steps take: known without places */
  readonly costs: Costs
  readonly plan: Plan
}

export function lower(segments: readonly NamedNodes[], options: LowerOptions): Plan {
  return placeSegments(segments, options).plan
}

export function placeSegments(segments: readonly NamedNodes[], options: LowerOptions): Lowered {
  const nodes = segments.flatMap((s) => s.nodes)
  const spans: Segment[] = []
  let at = 0
  for (const { name, nodes, repeats = false } of segments) spans.push({ name, from: at, to: (at += nodes.length), repeats })
  const loops = spans.filter((s) => s.repeats)
  const pinned = options.pinned.map(rootOf)
  const beside = besideOf(nodes, spans, options.overlaps ?? false)
  const placement = place(nodes, pinned, loops, options.scratch ?? (() => 0), beside)

  let plan: Plan | undefined
  return {
    floor: placement.floor,
    host: placement.host,
    get arena() {
      return placement.arena
    },
    fits: placement.fits,
    get stored() {
      return storedIn(nodes)
    },
    get costs() {
      const steps = nodes.map((node, i) => {
        const cost = costOf(node, options)
        return Object.assign(cost, { beside: beside.get(i) ?? null, scratch: placement.scratchOf(i), operand: operandOf(node) })
      })
      return { segments: spans, steps }
    },
    get plan() {
      plan ??= planOf(nodes, spans, beside, placement, pinned, options)
      return plan
    },
  }
}

function planOf(
  nodes: readonly Node[],
  spans: Segment[],
  beside: ReadonlyMap<number, Beside>,
  placement: Placement,
  pinned: readonly Tensor[],
  options: LowerOptions,
): Plan {
  const { arena, host } = placement
  const dense = denselyUsed(nodes)
  const buffers: PlanBuffer[] = []
  const index = new Map<Tensor, number>()
  const named = new Map<string, number>()
  /** a device finds a buffer by its name: the second of a name gets a number */
  const unique = (name: string): string => {
    const count = (named.get(name) ?? 0) + 1
    named.set(name, count)
    return count === 1 ? name : `${name}#${count}`
  }
  const bufferOf = (t: Tensor, step: number): number => {
    const root = rootOf(t)
    let i = index.get(root)
    if (i === undefined) {
      const { name, space, rows, cols, dtype } = root
      const life = placement.spanOf(root) ?? { from: step, to: step, at: 0 }
      const kind = space === 'store' ? 'store' : space === 'input' ? 'inputs' : space === 'host' ? 'host' : kindOf(spans, life)
      index.set(root, (i = buffers.length))
      buffers.push({
        name: space === 'arena' || space === 'host' ? unique(name) : name,
        space,
        rows,
        cols,
        dtype,
        bytes: sizeOf(root),
        at: life.at,
        from: life.from,
        to: life.to,
        kind,
        sparse: space === 'store' && !dense.has(root),
      })
    }
    const buffer = buffers[i]!
    if (root.space === 'store') buffer.to = Math.max(buffer.to, step)
    return i
  }
  const tensor = (t: Tensor, step: number): PlanTensor => ({
    buffer: bufferOf(t, step),
    offset: t.offset,
    rows: t.rows,
    cols: t.cols,
    stride: t.stride,
  })

  const scratch = (step: number) => {
    const found = placement.scratchOf(step)
    return found && { at: found.at, bytes: found.bytes }
  }

  for (const t of pinned) bufferOf(t, 0)
  const steps = nodes.map(
    (node, i): PlanStep => ({
      op: node.op.name,
      name: node.name,
      block: node.block,
      outputs: node.outputs.map((t) => tensor(t, i)),
      inputs: node.inputs.map((t) => t && tensor(t, i)),
      attrs: complete(node.op, node.attrs),
      beside: beside.get(i) ?? null,
      scratch: scratch(i),
      ...costOf(node, options),
    }),
  )
  const plan = {
    tokens: options.tokens,
    buffers,
    steps,
    segments: spans,
    arena,
    host,
    flops: steps.reduce((sum, s) => sum + s.flops, 0),
    bytes: steps.reduce((sum, s) => sum + s.bytes, 0),
  }
  let hash: string | undefined
  return {
    ...plan,
    get hash() {
      hash ??= createHash('sha256').update(JSON.stringify(plan)).digest('hex')
      return hash
    },
  }
}

function costOf(node: Node, { recomputed }: LowerOptions): StepCost {
  return {
    flops: node.op.flops(node),
    pairFlops: node.op.pairFlops?.(node) ?? 0,
    inGroups: node.op.inGroups ?? false,
    bytes: node.op.bytes?.(node) ?? touched(node),
    recomputed: recomputed?.has(node) ?? false,
  }
}

/** the type that it computes in: its first input's that isn't a list of indices */
function operandOf({ inputs, outputs }: Node): DType {
  const activation = inputs.find((t) => t && t.dtype !== 'i32') ?? outputs[0]
  return activation?.dtype ?? 'f32'
}

/** each input read once, each output written once */
function touched(node: Node): number {
  let bytes = 0
  for (const list of [node.inputs, node.outputs]) for (const t of list) if (t) bytes += sizeOf(t)
  return bytes
}

/** Line of the memory table: what lives from one segment into another is kept for it, the rest is scratch of its segment. */
function kindOf(segments: readonly Segment[], life: { from: number; to: number }): string {
  const at = (step: number) => segments.find((s) => step >= s.from && step < s.to)?.name ?? 'results'
  const from = at(life.from)
  const to = at(life.to)
  return from === to ? `${from} scratch` : `kept from ${from} for ${to}`
}
