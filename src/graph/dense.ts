/** Which store tensors are more than tables of which a pass reads some rows. */
import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import { rootOf } from './recorder.ts'

/** tensors that a node writes, reads whole, or that are trained */
export function denselyUsed(nodes: readonly Node[]): Set<Tensor> {
  const dense = new Set<Tensor>()
  for (const { op, inputs, outputs } of nodes) {
    for (const t of outputs) dense.add(rootOf(t))
    inputs.forEach((t, k) => {
      if (t && (t.needsGrad || !op.sparse?.includes(k))) dense.add(rootOf(t))
    })
  }
  return dense
}

/** names of the others among those that lie in the store */
export function sparselyUsed(nodes: readonly Node[]): Set<string> {
  const dense = denselyUsed(nodes)
  const used = nodes.flatMap(({ inputs }) => inputs.flatMap((t) => (t ? [rootOf(t)] : [])))
  return new Set(used.filter((t) => t.space === 'store' && !dense.has(t)).map((t) => t.name))
}
