/**
 * Which bytes a plan needs from which step to which. A tensor lives from the step that writes it to the last that reads it; where an output may be
 * written over an input which dies in the same step, the two are one life. Numbers by index instead of objects: there are tens of thousands, and a
 * search for what fits looks at many plans.
 */

import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import type { Beside } from './plan.ts'
import { rootOf } from './recorder.ts'

/** every place is a multiple of this: a vector register, a cache line, what cuBLASLt likes */
const ALIGN = 256
const align = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN

/** By index: tensors as the steps come to them, behind them the scratch of steps. */
export class Lives {
  readonly tensors: Tensor[] = []
  /** of a tensor, or of the first output of the step whose scratch it is: the order among equals */
  readonly id: Int32Array
  readonly from: Int32Array
  /** of what was taken over, the last step of who did */
  readonly to: Int32Array
  readonly bytes: Float64Array
  /** where it lies, in the arena or in the host's memory */
  readonly at: Float64Array
  /** the life whose bytes these are: its own, or that of the input that it was written over */
  readonly over: Int32Array
  /** last step of a tensor itself */
  readonly end: Int32Array
  /** by step: the life of its scratch, −1 where it needs none */
  readonly scratch: Int32Array
  /** those that need a place in the arena */
  readonly inArena: number[] = []
  /** of host memory, where each tensor has a place of its own */
  readonly hostBytes: number
  /** by a tensor's id, −1 where it has no life */
  readonly #index: Int32Array
  /** the first tensors, that live through the whole plan */
  readonly #pinned: number
  /** of a tensor that is read beside other steps, the one before which that is done: none before it writes over the tensor */
  readonly #beside = new Map<number, number>()

  /** `beside`: by step, those that run beside others; `loops`: what they read from before them lives until their end */
  constructor(
    nodes: readonly Node[],
    pinned: readonly Tensor[],
    loops: readonly { from: number; to: number }[],
    beside: ReadonlyMap<number, Beside>,
    scratchOf: (node: Node) => number,
  ) {
    let [ids, most] = [0, pinned.length + nodes.length]
    for (const t of pinned) ids = Math.max(ids, t.id)
    for (const { outputs } of nodes) {
      most += outputs.length
      for (const t of outputs) ids = Math.max(ids, rootOf(t).id)
    }
    this.#index = new Int32Array(ids + 1).fill(-1)
    this.id = new Int32Array(most)
    this.from = new Int32Array(most)
    this.to = new Int32Array(most)
    this.end = new Int32Array(most)
    this.over = new Int32Array(most)
    this.bytes = new Float64Array(most)
    this.at = new Float64Array(most)
    this.scratch = new Int32Array(nodes.length).fill(-1)

    for (const t of pinned) this.#touch(t, 0)
    this.#pinned = this.tensors.length
    this.end.fill(Math.max(0, nodes.length - 1), 0, this.#pinned)
    for (let i = 0; i < nodes.length; i++) this.#touchAll(nodes[i]!, i)
    // what runs beside other steps holds its tensors until it is done
    for (const [step, { until }] of beside) {
      this.#touchAll(nodes[step]!, until - 1)
      for (const t of nodes[step]!.inputs) if (t) this.#readUntil(t, until)
    }
    const { from, to, end, tensors } = this
    for (const loop of loops)
      for (let l = 0; l < tensors.length; l++) if (from[l]! < loop.from && end[l]! >= loop.from && end[l]! < loop.to) end[l] = loop.to - 1

    to.set(end)
    for (let i = 0; i < nodes.length; i++) if (nodes[i]!.op.inPlace) this.#takeOver(nodes[i]!, i)
    let hostBytes = 0
    for (let l = 0; l < tensors.length; l++) {
      if (this.over[l] !== l) continue
      if (tensors[l]!.space === 'host') {
        this.at[l] = hostBytes
        hostBytes += this.bytes[l]!
      } else this.inArena.push(l)
    }
    this.hostBytes = hostBytes
    this.#addScratch(nodes, beside, scratchOf)
  }

  /** −1: it has none */
  of(root: Tensor): number {
    return this.#index[root.id] ?? -1
  }

  #touchAll({ inputs, outputs }: Node, step: number): void {
    for (const t of outputs) this.#touch(t, step)
    for (const t of inputs) {
      if (!t) continue
      const root = rootOf(t)
      if (root.space !== 'store' && this.of(root) < 0) throw new Error(`${root.name} is read, and nothing writes it before`)
      this.#touch(t, step)
    }
  }

  #touch(t: Tensor, step: number): void {
    const root = t.root ?? t
    if (root.space === 'store') return
    let l = this.of(root)
    if (l < 0) {
      l = this.tensors.push(root) - 1
      this.#index[root.id] = l
      this.id[l] = root.id
      this.from[l] = step
      this.bytes[l] = align(sizeOf(root))
      this.over[l] = l
    }
    if (step > this.end[l]!) this.end[l] = step
  }

  #readUntil(t: Tensor, step: number): void {
    const l = this.of(t.root ?? t)
    if (l >= 0) this.#beside.set(l, Math.max(step, this.#beside.get(l) ?? 0))
  }

  #addScratch(nodes: readonly Node[], beside: ReadonlyMap<number, Beside>, scratchOf: (node: Node) => number): void {
    let l = this.tensors.length
    for (let i = 0; i < nodes.length; i++) {
      const bytes = scratchOf(nodes[i]!)
      if (bytes === 0) continue
      this.id[l] = nodes[i]!.outputs[0]!.id
      this.from[l] = i
      this.to[l] = (beside.get(i)?.until ?? i + 1) - 1
      this.bytes[l] = align(bytes)
      this.inArena.push(l)
      this.scratch[i] = l++
    }
  }

  /** Outputs over inputs that die in this step: any that the op allows, and columns over the same columns. */
  #takeOver(node: Node, step: number): void {
    const taken: number[] = []
    for (const [o, k] of node.op.inPlace!) {
      const output = node.outputs[o]!
      const input = node.inputs[k]
      if (!input || input.root || output.root || this.end[this.of(input)] !== step) continue
      if (reads(node, input) === 1) this.#take(output, input, step, taken)
    }
    for (const [output, input] of columnByColumn(node)) this.#take(output, input, step, taken)
  }

  #take(output: Tensor, input: Tensor, step: number, taken: number[]): void {
    const [o, i] = [this.of(output), this.of(input)]
    if (o < this.#pinned || i < this.#pinned || input.space !== 'arena' || taken.includes(i)) return
    const whose = this.over[i]!
    const free = this.end[i] === step && this.to[whose] === step && this.from[o] === step && this.over[o] === o
    if (!free || whose === o || sizeOf(input) !== sizeOf(output) || (this.#beside.get(i) ?? 0) > step) return
    taken.push(i)
    this.to[whose] = this.to[o]!
    this.over[o] = whose
  }
}

/** inputs that lie in this tensor */
function reads({ inputs }: Node, root: Tensor): number {
  let count = 0
  for (const t of inputs) if (t && rootOf(t) === root) count++
  return count
}

/** Outputs and inputs that are columns of something wider, the same columns each: what the one are of may be written over what the others are of. */
function columnByColumn({ op, inputs, outputs }: Node): [output: Tensor, input: Tensor][] {
  if (!outputs.some((t) => t.root) || !inputs.some((t) => t?.root)) return []
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
