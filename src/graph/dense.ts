/** Which store tensors are more than tables of which a pass reads some rows. */
import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import type { PlanBuffer } from './plan.ts'
import { rootOf } from './recorder.ts'

/** A tensor of the store that a plan reads or writes: what of it is known without places. */
export type Stored = Pick<PlanBuffer, 'name' | 'rows' | 'cols' | 'dtype' | 'bytes' | 'sparse'>

/** in the order in which nodes come to them */
export function storedIn(nodes: readonly Node[]): Stored[] {
  const dense = denselyUsed(nodes)
  const found = new Set<Tensor>()
  for (const { inputs, outputs } of nodes)
    for (const t of [...outputs, ...inputs]) if (t && rootOf(t).space === 'store') found.add(rootOf(t))
  return [...found].map((t) => ({ name: t.name, rows: t.rows, cols: t.cols, dtype: t.dtype, bytes: sizeOf(t), sparse: !dense.has(t) }))
}

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
