/**
 * What runs beside other steps, and when it has to be done: at the latest when its segment ends, or what it writes is read.
 *
 * Copies: what they read is free again when the block after the next begins, so that a whole block hides them.
 * Kernels: one that leaves most of a device waiting (a low-rank gradient reads much and multiplies little) runs beside the next step of its block that
 * computes at least HIDES times as much, and is done with it, where nothing large has to be held for that; else in its turn.
 */
import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import type { Beside, Segment } from './plan.ts'
import { rootOf } from './recorder.ts'

/** a step of fewer FLOPs is over before what is to run beside it */
const HIDES = 8

/** by step; those that run in their turn are left out. `overlaps`: the device runs kernels beside others */
export function besideOf(nodes: readonly Node[], segments: readonly Segment[], overlaps: boolean): Map<number, Beside> {
  const found = new Map<number, Beside>()
  for (const { from, to } of segments) {
    /** what the segment has made */
    const made = new Set<Tensor>()
    for (let i = from; i < to; i++) {
      const { op, outputs } = nodes[i]!
      if (op.beside === 'copies') found.set(i, { on: 'copies', until: copied(nodes, i, to) })
      else if (op.beside === 'kernels' && overlaps) {
        const hides = hidesBehind(nodes, i, to)
        if (hides !== null && isHeld(nodes, i, hides, made)) found.set(i, { on: 'kernels', until: hides + 1 })
      }
      for (const t of outputs) made.add(rootOf(t))
    }
  }
  return found
}

function copied(nodes: readonly Node[], step: number, end: number): number {
  const { inputs, outputs, block } = nodes[step]!
  /** nothing waits for what lies in host memory: its source is to be free again */
  const away = inputs.some((t) => t?.space === 'arena')
  let [last, begun] = [block, 0]
  for (let i = step + 1; i < end; i++) {
    const node = nodes[i]!
    if (touches(node.inputs, outputs) || touches(node.outputs, outputs)) return i
    if (node.block !== last) [last, begun] = [node.block, begun + 1]
    if (away && begun === 2) return i
  }
  return end
}

/** the step that hides this one; null: none does before what it writes is touched, or what it reads is written */
function hidesBehind(nodes: readonly Node[], step: number, end: number): number | null {
  const { op, inputs, outputs, block } = nodes[step]!
  const flops = HIDES * op.flops(nodes[step]!)
  for (let i = step + 1; i < end; i++) {
    const node = nodes[i]!
    if (node.block !== block || touches(node.inputs, outputs) || touches(node.outputs, outputs) || touches(node.outputs, inputs))
      return null
    if (!node.op.beside && node.op.flops(node) >= flops) return i
  }
  return null
}

/**
 * Is there room for its largest input until then anyway? What an earlier segment kept lay there all the time; what this one made is read again by
 * what hides the step, or later.
 */
function isHeld(nodes: readonly Node[], step: number, hides: number, made: ReadonlySet<Tensor>): boolean {
  const { inputs, block } = nodes[step]!
  let largest: Tensor | undefined
  for (const t of inputs) if (t && t.space !== 'store' && (!largest || sizeOf(t) > sizeOf(largest))) largest = t
  if (!largest) return true
  const root = rootOf(largest)
  if (!made.has(root)) return true
  for (let i = hides; nodes[i]?.block === block; i++) if (nodes[i]!.inputs.some((t) => t && rootOf(t) === root)) return true
  return false
}

/** are there bytes of both? */
function touches(list: readonly (Tensor | null)[], others: readonly (Tensor | null)[]): boolean {
  for (const a of list)
    for (const b of others) if (a && b && rootOf(a) === rootOf(b) && a.offset < endOf(b) && b.offset < endOf(a)) return true
  return false
}

/** behind its last element, counted in its root's */
const endOf = ({ offset, rows, cols, stride }: Tensor) => offset + (rows - 1) * stride + cols
