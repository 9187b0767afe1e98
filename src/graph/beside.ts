/**
 * When a copy that runs beside other steps has to be done: what it writes when the first step reads that; what it reads when the block after
 * the next begins, so that a whole block hides it. At the latest when its segment ends.
 */
import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Segment } from './plan.ts'
import { rootOf } from './recorder.ts'

/** by step: the one before which it is done, or its segment's end; steps that run in their turn are left out */
export function besideUntil(nodes: readonly Node[], segments: readonly Segment[]): Map<number, number> {
  const until = new Map<number, number>()
  for (const { from, to } of segments) for (let i = from; i < to; i++) if (nodes[i]!.op.beside) until.set(i, doneBefore(nodes, i, to))
  return until
}

function doneBefore(nodes: readonly Node[], step: number, end: number): number {
  const { inputs, outputs, block } = nodes[step]!
  const written = outputs.map(rootOf)
  /** nothing waits for what lies in host memory: its source is to be free again */
  const away = inputs.some((t) => t?.space === 'arena')
  let [last, begun] = [block, 0]
  for (let i = step + 1; i < end; i++) {
    const node = nodes[i]!
    if (touches(node.inputs, written) || touches(node.outputs, written)) return i
    if (node.block !== last) [last, begun] = [node.block, begun + 1]
    if (away && begun === 2) return i
  }
  return end
}

function touches(list: readonly (Tensor | null)[], roots: readonly Tensor[]): boolean {
  for (const t of list) if (t && roots.includes(rootOf(t))) return true
  return false
}
