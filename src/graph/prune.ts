/** Drops nodes whose results nobody reads: terms that were merged, outputs of recomputed values, gradients no one asked for. */

import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { rootOf } from './recorder.ts'

/** `results`: tensors that are read from outside. A node that writes into the store or an input is always kept. */
export function prune(segments: readonly Node[][], results: readonly Tensor[]): Node[][] {
  const wanted = new Set<Tensor>(results.map(rootOf))
  const kept: Node[][] = segments.map(() => [])
  for (let s = segments.length - 1; s >= 0; s--) {
    for (let i = segments[s]!.length - 1; i >= 0; i--) {
      const node = segments[s]![i]!
      if (!node.outputs.some((t) => (t.space !== 'arena' && t.space !== 'host') || wanted.has(rootOf(t)))) continue
      kept[s]!.push(node)
      for (const t of node.inputs) if (t) wanted.add(rootOf(t))
    }
    kept[s]!.reverse()
  }
  return kept
}
