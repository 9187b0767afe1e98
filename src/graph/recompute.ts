/**
 * What forward keeps for backward, block by block. Backward nodes are written against forward's tensors; here every one that the block's
 * policy does not keep is replaced by a value computed anew just before its first use, by the cheapest way there is, or by a copy brought
 * back from host memory while the block before it in backward's order is worked on. Only what backward reads is ever recomputed (in Llama
 * that leaves out down_proj). The same kernels on the same inputs: the same bits.
 */

import { fromHost, toHostOp } from '../ops/offload/op.ts'
import type { Node } from '../ops/op.ts'
import { sizeOf, type Tensor } from '../ops/tensor.ts'
import { type Recorder, rootOf } from './recorder.ts'
import { isWider } from './sink.ts'

/**
 * all: everything backward reads; lean: element-wise results are made anew; recompute: only a block's inputs are kept, and what is tiny; offload: those, and
 * what attention gave, which grows with the square of a row, in host memory; offload-more: there, all that is no larger than a block's input
 * and costs a product.
 */
export type Policy = 'all' | 'lean' | 'recompute' | 'offload' | 'offload-more'

/** lean keeps a side result (a norm's statistics) that is smaller than its op's main one by this factor: it costs next to nothing */
const SMALL = 16
/** what is smaller than its op's largest input by this factor is kept always: to make it anew, all of that is read (a low-rank product's u) */
const TINY = 64

/** What forward is to whatever is chosen. */
export interface Forward {
  nodes: readonly Node[]
  producer: ReadonlyMap<Tensor, Node>
  /** tensors that another block, or something outside the blocks, reads in forward */
  crossing: ReadonlySet<Tensor>
  /** bytes of the largest of those */
  widest: number
}

export function readForward(nodes: readonly Node[]): Forward {
  const producer = new Map<Tensor, Node>()
  for (const node of nodes) for (const t of node.outputs) producer.set(t, node)
  const crossing = boundaryTensors(nodes, producer)
  return { nodes, producer, crossing, widest: Math.max(0, ...[...crossing].map(sizeOf)) }
}

/** Forward and backward with recomputation and copies in them. `recomputed` collects the nodes that repeat work of forward. */
export function recompute(
  r: Recorder,
  { nodes: forward, producer, crossing, widest }: Forward,
  backward: readonly Node[],
  policy: (block: number) => Policy,
  recomputed: Set<Node>,
): { forward: Node[]; backward: Node[] } {
  const replaced = new Map<Tensor, Tensor>()
  const result: Node[] = []
  /** copies to host memory by the node whose output they copy */
  const copies = new Map<Node, Node[]>()
  /** in `result`, where the block before the one at hand began */
  const began = { before: 0, now: 0 }

  const policyOf = (node: Node): Policy => (node.block < 0 ? 'all' : policy(node.block))
  const isMadeAnew = (t: Tensor, { op, outputs }: Node) => op.cheap || (op.rematerialise !== undefined && outputs.indexOf(t) > 0)
  const isTiny = (t: Tensor, node: Node) => node.inputs.some((x) => x && x.space === 'arena' && sizeOf(t) * TINY <= sizeOf(x))

  const isHosted = (t: Tensor, node: Node): boolean => {
    const p = policyOf(node)
    // indices (which experts, which rows) are few, and copies are of values
    if ((p !== 'offload' && p !== 'offload-more') || t.dtype === 'i32') return false
    if (crossing.has(t) || node.op.pairFlops !== undefined) return true
    return p === 'offload-more' && !isMadeAnew(t, node) && !isTiny(t, node) && sizeOf(t) <= widest
  }

  const isKept = (t: Tensor, node: Node): boolean => {
    const p = policyOf(node)
    if (p === 'all') return true
    if (isHosted(t, node)) return false
    if (isTiny(t, node)) return true
    if (isMadeAnew(t, node)) return p === 'lean' && sizeOf(t) * SMALL < sizeOf(node.outputs[0]!)
    return p === 'lean' || crossing.has(t)
  }

  const available = (t: Tensor): Tensor => {
    const node = producer.get(rootOf(t))
    if (!node || t.space !== 'arena') return t
    const root = rootOf(t)
    // held from one reader to the next it would cost more than made for each
    if (isWider(root, node) && !isKept(root, node) && !isHosted(root, node)) {
      const anew = again(node)[node.outputs.indexOf(root)]!
      return t === root ? anew : { ...t, root: anew }
    }
    if (!replaced.has(root)) {
      if (isKept(root, node)) replaced.set(root, root)
      else if (isHosted(root, node)) replaced.set(root, broughtBack(root, node))
      else for (const [k, anew] of again(node).entries()) if (!replaced.has(node.outputs[k]!)) replaced.set(node.outputs[k]!, anew)
    }
    const source = replaced.get(root)!
    return t === root ? source : { ...t, root: source }
  }

  /** records nodes apart; those of `block` */
  const apart = <T>(block: number, make: () => T): [T, Node[]] => {
    const at = r.nodes
    r.nodes = []
    r.block = block
    const made = make()
    const nodes = r.nodes
    r.nodes = at
    return [made, nodes]
  }

  /** the tensor by way of host memory: there after its node, back before the block that reads it begins */
  const broughtBack = (t: Tensor, node: Node): Tensor => {
    const [there, away] = apart(node.block, () => r.apply(toHostOp, [t], {}, node.name)[0]!)
    copies.set(node, [...(copies.get(node) ?? []), ...away])
    const [back, nodes] = apart(node.block, () => fromHost(r, there, node.name))
    result.splice(began.before, 0, ...nodes)
    began.now += nodes.length
    return back
  }

  /** outputs of the node, computed once more */
  const again = (node: Node): Tensor[] => {
    // from the outputs that are there; the op itself where they are not
    const there = node.outputs.map((t) => replaced.has(t) || isKept(t, node) || isHosted(t, node))
    const [outputs, emitted] = apart(node.block, () => {
      const cheaper = node.op.rematerialise?.(r, node)
      if (cheaper?.every((t, k) => t || there[k])) return cheaper
      r.nodes = []
      return r.apply(node.op, node.inputs, node.attrs, node.name) as (Tensor | null)[]
    })
    for (const made of emitted) {
      const settled = { ...made, inputs: made.inputs.map((t) => t && available(t)) }
      for (const t of settled.outputs) r.producers.set(t, settled)
      recomputed.add(settled)
      result.push(settled)
    }
    return outputs.map((t, k) => t ?? available(node.outputs[k]!))
  }

  let block = -1
  for (const node of backward) {
    if (node.block !== block) {
      block = node.block
      began.before = began.now
      began.now = result.length
    }
    const inputs = node.inputs.map((t) => t && available(t))
    result.push(inputs.every((t, k) => t === node.inputs[k]) ? node : { ...node, inputs })
  }
  r.block = -1
  return { forward: copies.size === 0 ? [...forward] : forward.flatMap((node) => [node, ...(copies.get(node) ?? [])]), backward: result }
}

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
