/**
 * What forward keeps for backward, block by block. Backward nodes are written against forward's tensors; here every one that the block's
 * policy does not keep is replaced by a value computed anew just before its first use, by the cheapest way there is. Only what backward
 * reads is ever recomputed (in Llama that leaves out down_proj). The same kernels on the same inputs: the same bits.
 */

import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import { type Recorder, rootOf } from './recorder.ts'

/** all: everything backward reads; lean: element-wise results are made anew; recompute: only a block's inputs are kept. */
export type Policy = 'all' | 'lean' | 'recompute'

/** lean keeps a side result (a norm's statistics) that is smaller than its op's main one by this factor: it costs next to nothing */
const SMALL = 16

/** Returns backward with recomputation in it. `recomputed` collects the nodes that repeat work of forward. */
export function recompute(
  r: Recorder,
  forward: readonly Node[],
  backward: readonly Node[],
  policy: (block: number) => Policy,
  recomputed: Set<Node>,
): Node[] {
  const producer = new Map<Tensor, Node>()
  for (const node of forward) for (const t of node.outputs) producer.set(t, node)
  const crossing = boundaryTensors(forward, producer)
  const replaced = new Map<Tensor, Tensor>()
  const result: Node[] = []

  const isKept = (t: Tensor, node: Node): boolean => {
    const p = node.block < 0 ? 'all' : policy(node.block)
    if (p === 'all') return true
    const madeAnew = node.op.cheap || (node.op.rematerialise && node.outputs.indexOf(t) > 0)
    if (madeAnew) return p === 'lean' && sizeOf(t) * SMALL < sizeOf(node.outputs[0]!)
    return p === 'lean' || crossing.has(t)
  }

  const available = (t: Tensor): Tensor => {
    const node = producer.get(rootOf(t))
    if (!node || t.space !== 'arena') return t
    const root = rootOf(t)
    if (!replaced.has(root)) {
      if (isKept(root, node)) replaced.set(root, root)
      else for (const [k, anew] of again(node).entries()) if (!replaced.has(node.outputs[k]!)) replaced.set(node.outputs[k]!, anew)
    }
    const source = replaced.get(root)!
    return t === root ? source : { ...t, root: source }
  }

  /** outputs of the node, computed once more */
  const again = (node: Node): Tensor[] => {
    const at = r.nodes
    r.nodes = []
    r.block = node.block
    // from the outputs that are there; the op itself where they are not
    const there = node.outputs.map((t) => replaced.has(t) || isKept(t, node))
    const cheaper = node.op.rematerialise?.(r, node)
    const possible = cheaper?.every((t, k) => t || there[k])
    if (!possible) r.nodes = []
    const outputs = possible ? cheaper! : r.apply(node.op, node.inputs, node.attrs, node.name)
    const emitted = r.nodes
    r.nodes = at
    for (const made of emitted) {
      const settled = { ...made, inputs: made.inputs.map((t) => t && available(t)) }
      for (const t of settled.outputs) r.producers.set(t, settled)
      recomputed.add(settled)
      result.push(settled)
    }
    return outputs.map((t, k) => t ?? available(node.outputs[k]!))
  }

  for (const node of backward) {
    const inputs = node.inputs.map((t) => t && available(t))
    result.push(inputs.every((t, k) => t === node.inputs[k]) ? node : { ...node, inputs })
  }
  r.block = -1
  return result
}

/** tensors that another block, or something outside the blocks, reads in forward */
function boundaryTensors(forward: readonly Node[], producer: ReadonlyMap<Tensor, Node>): Set<Tensor> {
  const crossing = new Set<Tensor>()
  for (const node of forward) {
    for (const t of node.inputs) {
      const from = t && producer.get(rootOf(t))
      if (from && from.block !== node.block) crossing.add(rootOf(t))
    }
  }
  return crossing
}
