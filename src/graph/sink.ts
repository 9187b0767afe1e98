/**
 * Nodes that make more than they take, cheaply (a token's row for each of its experts), moved to just before whoever reads them first: what
 * backward makes anew between them would otherwise lie beside their result.
 */
import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import { rootOf } from './recorder.ts'

/** Is it made for little, and larger than all it is made of? */
export function isWider(t: Tensor, { op, inputs }: Node): boolean {
  return (op.cheap ?? false) && sizeOf(t) > inputs.reduce((sum, x) => sum + (x ? sizeOf(x) : 0), 0)
}

/** The same nodes; none leaves its block. */
export function sink(nodes: readonly Node[]): Node[] {
  const result: Node[] = []
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!
    const [only] = node.outputs
    // `result` is what comes after, last first
    const moves = node.outputs.length === 1 && only!.space === 'arena' && rootOf(only!) === only && isWider(only!, node)
    let at = result.length
    if (moves) while (at > 0 && result[at - 1]!.block === node.block && !reads(result[at - 1]!, only!)) at--
    result.splice(at > 0 && moves && result[at - 1]!.block === node.block ? at : result.length, 0, node)
  }
  return result.reverse()
}

const reads = ({ inputs, outputs }: Node, t: Tensor) => has(inputs, t) || has(outputs, t)
const has = (list: readonly (Tensor | null)[], t: Tensor) => list.some((one) => one && rootOf(one) === t)
