/**
 * Reverse-mode differentiation over recorded nodes. Every op brings its own rule; this walks the nodes backwards, sums what several
 * consumers contribute and asks only where something trainable lies below.
 */

import { add } from '../ops/add/op.ts'
import type { Node } from '../ops/op.ts'
import type { Tensor } from '../ops/tensor.ts'
import type { Recorder } from './recorder.ts'

/**
 * Emits into `r.nodes` the backward of `forward`, starting from `seeds`: output -> its gradient. Returns the gradients of `wanted`,
 * tensors that these nodes read (null where nothing flows).
 */
export function differentiate(
  r: Recorder,
  forward: readonly Node[],
  seeds: ReadonlyMap<Tensor, Tensor>,
  wanted: readonly Tensor[] = [],
): (Tensor | null)[] {
  const contributions = new Map<Tensor, Tensor[]>()
  const results = new Map<Tensor, Tensor | null>()
  for (const [output, d] of seeds) contributions.set(output, [d])

  for (let i = forward.length - 1; i >= 0; i--) {
    const node = forward[i]!
    for (const t of node.outputs) if (wanted.includes(t)) results.set(t, sum(r, contributions.get(t)))
    if (!node.op.backward || !node.outputs.some((t) => t.needsGrad && contributions.has(t))) continue
    r.block = node.block
    const dOutputs = node.outputs.map((t) => sum(r, contributions.get(t)))
    for (const t of node.outputs) contributions.delete(t)
    node.op.backward(r, node, dOutputs).forEach((d, k) => {
      const input = node.inputs[k]
      if (!d || !input?.needsGrad || input.space === 'store') return
      if (input.root) throw new Error(`${node.name}: the gradient of a column view needs a rule`)
      const list = contributions.get(input)
      if (list) list.push(d)
      else contributions.set(input, [d])
    })
  }
  r.block = -1
  return wanted.map((t) => results.get(t) ?? sum(r, contributions.get(t)))
}

/** One tensor for what all consumers contribute: ops that can take another term do so, the rest are added. */
function sum(r: Recorder, terms: Tensor[] | undefined): Tensor | null {
  if (!terms) return null
  const mergers = terms.filter((t) => r.producers.get(t)?.op.mergeSum)
  const rest = terms.filter((t) => !mergers.includes(t))
  let total = mergers[0] ?? rest.shift()!
  for (const t of [...mergers.slice(1), ...rest]) {
    const node = r.producers.get(total)
    total = node?.op.mergeSum?.(r, node, t, r.producers.get(t)) ?? add(r, total, t, node?.name)
  }
  return total
}
